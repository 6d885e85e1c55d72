/* A client for measuring: the same request again and again on so many connections; loopback only, one thread.
 *
 *   load PORT PATH BODYFILE [option value]...    prints one JSON object
 *     -c N        connections (1)                -H 'Name: value'  a header
 *     -s SECONDS  measure so long (4), after     -n N              or: until so many requests are answered
 *     -w SECONDS  of warming up (0)              -p MS             pause of a connection between two requests
 *     -e STATUS   what is no failure (200)       -l MS             leave a request unfinished after so long
 *
 * At the end no request is begun any more, and those that run are read to their end (20 s at most), so that
 * what the server did can be divided by `answered`, warming up included. `ok`, the latencies and the rates are
 * of what ended inside the window. `nanos` is the sum of the last "total_nanos" of each answer. An event is a
 * line that begins with `data:`; one with "@<ns>" in it (upstream.c) tells how long it was on its way.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { HEAD = 16384, PIECE = 131072 };
enum part { SIZE, EXTENSION, DATA, AFTER_DATA, TRAILER }; /* of a chunked body */

typedef struct {
  int fd, busy, status, in_head, closes, chunked;
  enum part part;
  long left, size, trailer; /* of the body, -1: to the end of the connection; of the chunk; of the trailer's line */
  size_t sent, head_used;
  uint64_t began, first_event, timer;
  int data_at, nanos_at, stamp_digits; /* how much of each marker was seen; -1: not a line's begin, no number */
  uint64_t stamp;
  long long nanos;
  int reading_nanos;
  char head[HEAD];
} connection;

typedef struct {
  float *values;
  size_t count, room;
} samples;

static samples latency, first, delay;
static long ok, bad, answered, left_early, redialed, events, all_events, wanted_requests, begun;
static long long nanos;
static char reason[200], *request;
static size_t request_length;
static uint64_t window_begin, window_end;
static int poller, port, expected = 200;
static long pause_ms, leave_ms;

static uint64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000ull + t.tv_nsec;
}

static void fail(const char *what) {
  perror(what);
  exit(1);
}

/* figures */

static void note(samples *s, uint64_t from, uint64_t to) {
  if (s->count == s->room) s->values = realloc(s->values, (s->room = s->room ? s->room * 2 : 65536) * sizeof(float));
  s->values[s->count++] = to > from ? (to - from) / 1e6 : 0;
}

static int by_value(const void *a, const void *b) {
  float x = *(const float *)a, y = *(const float *)b;
  return (x > y) - (x < y);
}

static double quantile(const samples *s, double q) {
  return s->count ? s->values[(size_t)(q * (s->count - 1) + 0.5)] : 0;
}

static void print_quantiles(const char *name, samples *s) {
  qsort(s->values, s->count, sizeof(float), by_value);
  printf(",\"%s_p50\":%.4f,\"%s_p99\":%.4f", name, quantile(s, 0.5), name, quantile(s, 0.99));
}

static int inside(uint64_t moment) { return moment >= window_begin && moment < window_end; }

static int over(uint64_t moment) { return wanted_requests ? begun >= wanted_requests : moment >= window_end; }

/* connections */

static void watch(connection *c, int writes) {
  struct epoll_event e = {EPOLLIN | (writes ? EPOLLOUT : 0), {c}};
  epoll_ctl(poller, EPOLL_CTL_MOD, c->fd, &e);
}

static void send_rest(connection *c) {
  int was_begun = c->sent > 0;
  while (c->sent < request_length) {
    ssize_t n = send(c->fd, request + c->sent, request_length - c->sent, MSG_NOSIGNAL);
    if (n < 0 && errno == EAGAIN) return watch(c, 1);
    if (n < 0) return; /* the end of the connection is read soon */
    c->sent += n;
  }
  if (was_begun) watch(c, 0);
}

static void begin(connection *c) {
  begun++;
  c->busy = c->in_head = 1;
  c->head_used = c->sent = 0;
  c->nanos = c->reading_nanos = c->nanos_at = c->data_at = 0;
  c->stamp_digits = -1;
  c->first_event = 0;
  c->began = now();
  c->timer = leave_ms ? c->began + leave_ms * 1000000ull : 0;
  send_rest(c);
}

static void dial(connection *c) {
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  int one = 1;
  c->fd = socket(AF_INET, SOCK_STREAM, 0);
  if (c->fd < 0 || connect(c->fd, (void *)&address, sizeof address)) fail("connect");
  setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
  fcntl(c->fd, F_SETFL, O_NONBLOCK);
  struct epoll_event e = {EPOLLIN, {c}};
  epoll_ctl(poller, EPOLL_CTL_ADD, c->fd, &e);
}

static void redial(connection *c) {
  close(c->fd);
  redialed++;
  dial(c);
}

static void next(connection *c, uint64_t moment) {
  c->busy = 0;
  c->timer = 0;
  if (over(moment)) return;
  if (pause_ms)
    c->timer = moment + pause_ms * 1000000ull;
  else
    begin(c);
}

static void failed(const char *what, const char *more) {
  if (!bad++) snprintf(reason, sizeof reason, "%s%.150s", what, more);
}

static void done(connection *c) {
  uint64_t moment = now();
  answered++;
  nanos += c->nanos;
  if (c->status != expected) {
    failed("", c->head);
  } else if (inside(moment)) {
    ok++;
    note(&latency, c->began, moment);
    if (c->first_event) note(&first, c->began, c->first_event);
  }
  if (c->closes) redial(c);
  next(c, moment);
}

static void on_timer(connection *c, uint64_t moment) {
  c->timer = 0;
  if (!c->busy) return begin(c);
  left_early++;
  redial(c);
  next(c, moment);
}

/* answers */

static const char DATA_LINE[] = "data:", NANOS[] = "\"total_nanos\":";

static void scan(connection *c, const char *data, size_t length, uint64_t moment) {
  int counts = inside(moment);
  for (const char *p = data; p < data + length; p++) {
    char letter = *p;
    int digit = letter >= '0' && letter <= '9';
    if (c->stamp_digits >= 0) {
      if (digit) {
        c->stamp = c->stamp * 10 + (letter - '0');
        c->stamp_digits++;
        continue;
      }
      if (c->stamp_digits > 9 && counts) note(&delay, c->stamp, moment);
      c->stamp_digits = -1;
    }
    if (c->reading_nanos) {
      if (digit) {
        c->nanos = c->nanos * 10 + (letter - '0');
        continue;
      }
      c->reading_nanos = 0;
    }
    if (letter == '@') {
      c->stamp = 0;
      c->stamp_digits = 0;
    }
    if (letter == NANOS[c->nanos_at]) {
      if (!NANOS[++c->nanos_at]) {
        c->nanos_at = 0;
        c->nanos = 0;
        c->reading_nanos = 1;
      }
    } else {
      c->nanos_at = letter == '"';
    }
    if (letter == '\n') {
      c->data_at = 0;
    } else if (c->data_at >= 0) {
      c->data_at = letter == DATA_LINE[c->data_at] ? c->data_at + 1 : -1;
      if (c->data_at == 5) {
        c->data_at = -1;
        all_events++;
        events += counts;
        if (!c->first_event) c->first_event = moment;
      }
    }
  }
}

static int read_head(connection *c) {
  char *found;
  c->status = atoi(c->head + 9);
  c->closes = strcasestr(c->head, "\r\nconnection: close") != NULL;
  c->chunked = strcasestr(c->head, "\r\ntransfer-encoding: chunked") != NULL;
  c->left = (found = strcasestr(c->head, "\r\ncontent-length:")) ? atol(found + 17) : -1;
  c->part = SIZE;
  c->size = 0;
  c->in_head = 0;
  if (!c->chunked && c->left < 0) c->closes = 1;
  return !c->chunked && c->left == 0;
}

/* these take bytes off `*data` and give 1 where the answer is whole */

static int take_head(connection *c, const char **data, size_t *length) {
  size_t room = HEAD - 1 - c->head_used, n = *length < room ? *length : room;
  memcpy(c->head + c->head_used, *data, n);
  c->head[c->head_used + n] = 0;
  char *end = strstr(c->head + (c->head_used > 3 ? c->head_used - 3 : 0), "\r\n\r\n");
  size_t used = end ? (size_t)(end + 4 - c->head) - c->head_used : n;
  c->head_used += used;
  *data += used;
  *length -= used;
  if (!end && c->head_used == HEAD - 1) {
    fputs("load: the head of an answer is too long\n", stderr);
    exit(1);
  }
  if (!end) return 0;
  end[2] = 0;
  return read_head(c);
}

static int take_chunked(connection *c, const char **data, size_t *length, uint64_t moment) {
  size_t n = 1;
  char letter = **data;
  switch (c->part) {
  case SIZE:
    if (letter == ';')
      c->part = EXTENSION;
    else if (letter != '\r' && letter != '\n')
      c->size = c->size * 16 + (letter <= '9' ? letter - '0' : (letter | 32) - 'a' + 10);
    /* fall through */
  case EXTENSION:
    if (letter == '\n') c->part = c->size ? DATA : TRAILER;
    c->trailer = 0;
    break;
  case DATA:
    n = *length < (size_t)c->size ? *length : (size_t)c->size;
    scan(c, *data, n, moment);
    if (!(c->size -= n)) c->part = AFTER_DATA;
    break;
  case AFTER_DATA:
    if (letter == '\n') c->part = SIZE;
    break;
  case TRAILER:
    if (letter == '\n' && !c->trailer) return 1;
    c->trailer = letter == '\n' ? 0 : c->trailer + (letter != '\r');
  }
  *data += n;
  *length -= n;
  return 0;
}

static int take(connection *c, const char *data, size_t length, uint64_t moment) {
  while (length) {
    if (c->in_head) {
      if (take_head(c, &data, &length)) return 1;
    } else if (c->chunked) {
      if (take_chunked(c, &data, &length, moment)) return 1;
    } else {
      scan(c, data, length, moment);
      if (c->left < 0) return 0;
      return (c->left -= length) <= 0;
    }
  }
  return 0;
}

static void on_readable(connection *c) {
  static char piece[PIECE];
  ssize_t n = recv(c->fd, piece, sizeof piece, 0);
  uint64_t moment = now();
  if (n < 0 && errno == EAGAIN) return;
  if (n > 0) {
    if (c->busy && take(c, piece, n, moment)) done(c);
    return;
  }
  if (c->busy && !c->in_head && !c->chunked && c->left < 0) return done(c);
  int lost = c->busy;
  if (lost) failed("the connection ended before its answer", "");
  redial(c);
  if (lost) next(c, moment);
}

static uint64_t run_timers(connection *all, int count, uint64_t moment) {
  uint64_t soonest = moment + 100000000;
  for (connection *c = all; c < all + count; c++) {
    if (c->timer && c->timer <= moment && (c->busy || !over(moment))) on_timer(c, moment);
    if (c->timer && c->timer < soonest) soonest = c->timer;
  }
  return soonest;
}

static int running(const connection *all, int count) {
  int found = 0;
  for (const connection *c = all; c < all + count; c++) found += c->busy;
  return found;
}

static void drive(connection *all, int count) {
  struct epoll_event found[256];
  for (;;) {
    uint64_t moment = now(), soonest = moment + 100000000;
    if (over(moment) && (!running(all, count) || moment > window_end + 20000000000ull)) return;
    if (pause_ms || leave_ms) soonest = run_timers(all, count, moment);
    int wait = soonest > moment ? (soonest - moment + 999999) / 1000000 : 0;
    int n = epoll_wait(poller, found, 256, wait);
    for (int i = 0; i < n; i++) {
      connection *c = found[i].data.ptr;
      if (found[i].events & EPOLLOUT) send_rest(c);
      if (found[i].events & ~EPOLLOUT) on_readable(c);
    }
  }
}

int main(int count, char **arguments) {
  if (count < 4) return fputs("load PORT PATH BODYFILE [option value]...\n", stderr), 2;
  double seconds = 4, warming = 0;
  int connections = 1, used = 0;
  char headers[HEAD] = "", *body = malloc(1 << 24);
  for (int i = 4; i + 1 < count; i += 2) {
    const char *value = arguments[i + 1];
    switch (arguments[i][1]) {
    case 'c': connections = atoi(value); break;
    case 's': seconds = atof(value); break;
    case 'w': warming = atof(value); break;
    case 'n': wanted_requests = atol(value); break;
    case 'e': expected = atoi(value); break;
    case 'p': pause_ms = atol(value); break;
    case 'l': leave_ms = atol(value); break;
    case 'H': used += snprintf(headers + used, sizeof headers - used, "%s\r\n", value); break;
    default: return fputs("load: no such option\n", stderr), 2;
    }
  }
  FILE *file = fopen(arguments[3], "rb");
  if (!file) fail(arguments[3]);
  size_t length = fread(body, 1, 1 << 24, file);
  port = atoi(arguments[1]);
  request = malloc(length + 2 * HEAD);
  request_length = sprintf(request,
                           "POST %s HTTP/1.1\r\nhost: 127.0.0.1:%d\r\ncontent-type: application/json\r\n"
                           "accept: */*\r\nuser-agent: bench\r\n%scontent-length: %zu\r\n\r\n",
                           arguments[2], port, headers, length);
  memcpy(request + request_length, body, length);
  request_length += length;
  poller = epoll_create1(0);
  connection *all = calloc(connections, sizeof *all);
  for (int i = 0; i < connections; i++) dial(&all[i]);
  uint64_t started = now();
  window_begin = started + warming * 1e9;
  window_end = wanted_requests ? UINT64_MAX / 2 : window_begin + (uint64_t)(seconds * 1e9);
  for (int i = 0; i < connections && !over(0); i++) begin(&all[i]);
  drive(all, connections);
  if (wanted_requests) seconds = (now() - started) / 1e9;
  bad += running(all, connections);
  for (char *p = reason; *p; p++)
    if (*p < ' ' || *p == '"' || *p == '\\') *p = ' ';
  printf("{\"ok\":%ld,\"bad\":%ld,\"reason\":\"%s\",\"answered\":%ld,\"left\":%ld,\"redialed\":%ld,\"nanos\":%lld,"
         "\"rate\":%.2f,\"events\":%ld,\"event_rate\":%.1f",
         ok, bad, reason, answered, left_early, redialed, nanos, ok / seconds, all_events, events / seconds);
  print_quantiles("latency", &latency);
  print_quantiles("first", &first);
  print_quantiles("delay", &delay);
  puts("}");
  return 0;
}
