/* A provider for measuring: answers in the wire formats of OpenAI's chat and of Anthropic's messages.
 *
 *   upstream PORT            0 chooses one; the port is printed once it listens. Loopback only, one thread.
 *
 * `/chat/completions` and `/messages` are answered as JSON, or as SSE where the body has "stream":true. How is
 * said by the model's name after `mock-`, or by the first segment of the path (`/d50i10/v1/...`):
 *   d50   50 ms before the answer        i10   10 ms between events, else back to back, a write each
 *   n100  100 events (else 50)           e429  an error of that status
 * The text of an event is `@` and the moment of its writing (CLOCK_MONOTONIC, ns), for load.c to take off.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
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

enum { CONNECTIONS = 16384, PIECE = 16384 };
enum state { READING, WAITING, STREAMING };

typedef struct {
  char *data;
  size_t used, room;
} bytes;

typedef struct {
  int fd, messages, usage, watches_writes;
  enum state state;
  long left, sent_events;
  uint64_t due, interval; /* ns; `due` counts while `timed` */
  int timed;              /* its place in `timers`, from 1; 0: not there */
  bytes in, out;
  size_t written, request; /* of `out`; the length of the request that is being answered */
} connection;

typedef struct {
  long delay, interval, events, status;
} behaviour;

static connection *timers[CONNECTIONS + 1]; /* a heap by `due`, from 1 */
static int timer_count, poller;

static const char TEXT[] =
    "The answer of a provider that always says the same. It is a few sentences long, so that its body looks "
    "like a short completion. What else would you like to know?";

static uint64_t now(void) {
  struct timespec t;
  clock_gettime(CLOCK_MONOTONIC, &t);
  return t.tv_sec * 1000000000ull + t.tv_nsec;
}

/* timers */

static void put(int at, connection *c) {
  timers[at] = c;
  c->timed = at;
}

static void settle(int at) {
  connection *c = timers[at];
  for (; at > 1 && timers[at / 2]->due > c->due; at /= 2) put(at, timers[at / 2]);
  for (;;) {
    int child = at * 2;
    if (child < timer_count && timers[child + 1]->due < timers[child]->due) child++;
    if (child > timer_count || timers[child]->due >= c->due) break;
    put(at, timers[child]);
    at = child;
  }
  put(at, c);
}

static void schedule(connection *c) {
  put(++timer_count, c);
  settle(timer_count);
}

static void unschedule(connection *c) {
  int at = c->timed;
  if (!at) return;
  connection *last = timers[timer_count--];
  c->timed = 0;
  if (last == c) return;
  put(at, last);
  settle(at);
}

/* writing */

static void append(bytes *b, const char *data, size_t length) {
  if (b->used + length > b->room) b->data = realloc(b->data, b->room = (b->used + length) * 2);
  memcpy(b->data + b->used, data, length);
  b->used += length;
}

static void watch_writes(connection *c, int wanted) {
  if (c->watches_writes == wanted) return;
  struct epoll_event e = {EPOLLIN | (wanted ? EPOLLOUT : 0), {c}};
  epoll_ctl(poller, EPOLL_CTL_MOD, c->fd, &e);
  c->watches_writes = wanted;
}

/* 1: all is written; 0: the socket is full; -1: it is dead */
static int flush(connection *c) {
  while (c->written < c->out.used) {
    ssize_t n = send(c->fd, c->out.data + c->written, c->out.used - c->written, MSG_NOSIGNAL);
    if (n < 0 && errno != EAGAIN) return -1;
    if (n < 0) return watch_writes(c, 1), 0;
    c->written += n;
  }
  c->written = c->out.used = 0;
  watch_writes(c, 0);
  return 1;
}

static void close_connection(connection *c) {
  unschedule(c);
  close(c->fd);
  free(c->in.data);
  free(c->out.data);
  free(c);
}

/* answers */

static void whole(connection *c, long status, const char *body, int length) {
  char head[256];
  int n = sprintf(head,
                  "HTTP/1.1 %ld %s\r\ncontent-type: application/json\r\nrequest-id: req_bench\r\n"
                  "content-length: %d\r\n\r\n",
                  status, status == 200 ? "OK" : "Failed", length);
  append(&c->out, head, n);
  append(&c->out, body, length);
}

static void error(connection *c, long status) {
  char body[256];
  int n = sprintf(body,
                  "{\"type\":\"error\",\"error\":{\"type\":\"bench_error\",\"code\":\"bench\",\"param\":null,"
                  "\"message\":\"An error of status %ld, as it was asked for.\"}}",
                  status);
  whole(c, status, body, n);
}

static void answer(connection *c) {
  char body[1024];
  int n;
  if (c->messages)
    n = sprintf(body,
                "{\"id\":\"msg_bench0123456789\",\"type\":\"message\",\"role\":\"assistant\",\"model\":\"mock\","
                "\"content\":[{\"type\":\"text\",\"text\":\"%s\"}],\"stop_reason\":\"end_turn\","
                "\"stop_sequence\":null,\"usage\":{\"input_tokens\":412,\"output_tokens\":31,"
                "\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":0}}",
                TEXT);
  else
    n = sprintf(body,
                "{\"id\":\"chatcmpl-bench0123456789\",\"object\":\"chat.completion\",\"created\":1767225600,"
                "\"model\":\"mock\",\"choices\":[{\"index\":0,\"message\":{\"role\":\"assistant\",\"content\":"
                "\"%s\",\"refusal\":null},\"logprobs\":null,\"finish_reason\":\"stop\"}],\"usage\":{"
                "\"prompt_tokens\":412,\"completion_tokens\":31,\"total_tokens\":443,"
                "\"prompt_tokens_details\":{\"cached_tokens\":0},"
                "\"completion_tokens_details\":{\"reasoning_tokens\":0}},\"system_fingerprint\":\"fp_bench\"}",
                TEXT);
  whole(c, 200, body, n);
}

static void chunk(connection *c, const char *data, int length) {
  char head[16];
  append(&c->out, head, sprintf(head, "%x\r\n", length));
  append(&c->out, data, length);
  append(&c->out, "\r\n", 2);
}

static void named(connection *c, const char *type, const char *rest) {
  char event[512];
  chunk(c, event, sprintf(event, "event: %s\ndata: {\"type\":\"%s\"%s}\n\n", type, type, rest));
}

static void completion(connection *c, const char *delta, const char *end) {
  char event[768];
  int n = sprintf(event,
                  "data: {\"id\":\"chatcmpl-bench0123456789\",\"object\":\"chat.completion.chunk\","
                  "\"created\":1767225600,\"model\":\"mock\",\"system_fingerprint\":\"fp_bench\",\"choices\":"
                  "[{\"index\":0,\"delta\":{%s},\"logprobs\":null,\"finish_reason\":%s}]}\n\n",
                  delta, end);
  chunk(c, event, n);
}

static void first_event(connection *c) {
  static const char head[] = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream; charset=utf-8\r\n"
                             "cache-control: no-cache\r\ntransfer-encoding: chunked\r\n\r\n";
  append(&c->out, head, sizeof head - 1);
  if (!c->messages) return;
  named(c, "message_start",
        ",\"message\":{\"id\":\"msg_bench0123456789\",\"type\":\"message\",\"role\":\"assistant\",\"model\":"
        "\"mock\",\"content\":[],\"stop_reason\":null,\"stop_sequence\":null,\"usage\":{\"input_tokens\":412,"
        "\"output_tokens\":1,\"cache_creation_input_tokens\":0,\"cache_read_input_tokens\":0}}");
  named(c, "content_block_start", ",\"index\":0,\"content_block\":{\"type\":\"text\",\"text\":\"\"}");
}

static void text_event(connection *c) {
  char rest[128];
  unsigned long long at = now();
  if (c->messages) {
    sprintf(rest, ",\"index\":0,\"delta\":{\"type\":\"text_delta\",\"text\":\"@%llu \"}", at);
    named(c, "content_block_delta", rest);
  } else {
    sprintf(rest, "%s\"content\":\"@%llu \"", c->sent_events ? "" : "\"role\":\"assistant\",", at);
    completion(c, rest, "null");
  }
  c->sent_events++;
}

static void last_events(connection *c) {
  char rest[256];
  if (c->messages) {
    named(c, "content_block_stop", ",\"index\":0");
    sprintf(rest,
            ",\"delta\":{\"stop_reason\":\"end_turn\",\"stop_sequence\":null},\"usage\":{\"output_tokens\":%ld}",
            c->sent_events);
    named(c, "message_delta", rest);
    named(c, "message_stop", "");
  } else {
    completion(c, "", "\"stop\"");
    if (c->usage)
      chunk(c, rest,
            sprintf(rest,
                    "data: {\"id\":\"chatcmpl-bench0123456789\",\"object\":\"chat.completion.chunk\","
                    "\"created\":1767225600,\"model\":\"mock\",\"choices\":[],\"usage\":{\"prompt_tokens\":412,"
                    "\"completion_tokens\":%ld,\"total_tokens\":%ld}}\n\n",
                    c->sent_events, 412 + c->sent_events));
    chunk(c, "data: [DONE]\n\n", 14);
  }
  append(&c->out, "0\r\n\r\n", 5);
}

/* requests; these give -1 where the connection is dead, else 0 */

static int next_request(connection *c);

static int finish(connection *c) {
  c->in.used -= c->request;
  memmove(c->in.data, c->in.data + c->request, c->in.used);
  c->state = READING;
  return c->in.used ? next_request(c) : 0;
}

static int stream(connection *c) {
  while (c->left) {
    text_event(c);
    c->left--;
    int sent = flush(c);
    if (sent < 0) return -1;
    if (c->interval) {
      c->due += c->interval;
      if (c->due < now()) c->due = now();
      schedule(c);
      return 0;
    }
    if (!sent) return 0; /* goes on when the socket takes more */
  }
  last_events(c);
  return flush(c) < 0 ? -1 : finish(c);
}

static int begin(connection *c) {
  if (c->state == WAITING) return flush(c) < 0 ? -1 : finish(c);
  c->sent_events = 0;
  if (!c->due) c->due = now();
  first_event(c);
  return stream(c);
}

static void read_behaviour(const char *text, behaviour *b) {
  while (*text) {
    char *end, letter = *text;
    long value = strtol(text + 1, &end, 10);
    if (end == text + 1 || text[1] == '-' || !strchr("dine", letter)) return;
    *(letter == 'd' ? &b->delay : letter == 'i' ? &b->interval : letter == 'n' ? &b->events : &b->status) = value;
    text = end;
  }
}

static void read_request(connection *c, char *body) {
  behaviour wanted = {.events = 50, .status = 200};
  char after = c->in.data[c->request]; /* the next request, perhaps */
  c->in.data[c->request] = 0;
  char *space = strchr(c->in.data, ' '), *line = strchr(c->in.data, '\r');
  if (space && space[1] == '/') read_behaviour(space + 2, &wanted);
  char *model = strstr(body, "\"mock-"), *flag = strstr(body, "\"stream\"");
  if (model) read_behaviour(model + 6, &wanted);
  if (flag) flag += strspn(flag + 8, " :") + 8;
  c->messages = memmem(c->in.data, line - c->in.data, "/messages", 9) != NULL;
  c->usage = strstr(body, "include_usage") != NULL;
  c->interval = wanted.interval * 1000000ull;
  c->left = wanted.events;
  c->sent_events = -1; /* not begun */
  c->due = wanted.delay ? now() + wanted.delay * 1000000ull : 0;
  c->state = wanted.status == 200 && flag && !strncmp(flag, "true", 4) ? STREAMING : WAITING;
  if (wanted.status != 200)
    error(c, wanted.status);
  else if (c->state == WAITING)
    answer(c);
  c->in.data[c->request] = after;
}

static int next_request(connection *c) {
  append(&c->in, "", 1); /* ends the string; not part of it */
  c->in.used--;
  char *end = memmem(c->in.data, c->in.used, "\r\n\r\n", 4);
  if (!end) return c->in.used > 65536 ? -1 : 0;
  size_t head = end + 4 - c->in.data;
  end[2] = 0;
  char *length = strcasestr(c->in.data, "\r\ncontent-length:");
  end[2] = '\r';
  c->request = head + (length ? strtoul(length + 17, NULL, 10) : 0);
  if (c->in.used < c->request) return 0;
  read_request(c, c->in.data + head);
  if (!c->due) return begin(c);
  schedule(c);
  return 0;
}

static int on_time(connection *c) {
  unschedule(c);
  return c->state == STREAMING && c->sent_events >= 0 ? stream(c) : begin(c);
}

static int on_readable(connection *c) {
  char piece[PIECE];
  ssize_t n = recv(c->fd, piece, sizeof piece, 0);
  if (n < 0) return errno == EAGAIN ? 0 : -1;
  if (n == 0) return -1;
  append(&c->in, piece, n);
  return c->state == READING ? next_request(c) : 0;
}

static int on_writable(connection *c) {
  int sent = flush(c);
  if (sent == 1 && c->state == STREAMING && !c->timed) return stream(c);
  return sent < 0 ? -1 : 0;
}

static void accept_all(int listener) {
  int fd, one = 1;
  while ((fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK)) >= 0) {
    setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    connection *c = calloc(1, sizeof *c);
    c->fd = fd;
    struct epoll_event e = {EPOLLIN, {c}};
    epoll_ctl(poller, EPOLL_CTL_ADD, fd, &e);
  }
}

static int listen_on(int port) {
  int one = 1, fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
  struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons(port)};
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  socklen_t length = sizeof address;
  setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &one, sizeof one);
  if (bind(fd, (void *)&address, length) || listen(fd, 4096)) {
    perror("upstream");
    exit(1);
  }
  getsockname(fd, (void *)&address, &length);
  printf("%d\n", ntohs(address.sin_port));
  fflush(stdout);
  return fd;
}

int main(int count, char **arguments) {
  int listener = listen_on(count > 1 ? atoi(arguments[1]) : 0);
  struct epoll_event events[256], own = {EPOLLIN, {NULL}}; /* NULL: the listener */
  poller = epoll_create1(0);
  epoll_ctl(poller, EPOLL_CTL_ADD, listener, &own);
  for (;;) {
    uint64_t moment = now(), wait = timer_count && timers[1]->due > moment ? timers[1]->due - moment : 0;
    struct timespec limit = {wait / 1000000000, wait % 1000000000};
    int n = epoll_pwait2(poller, events, 256, timer_count ? &limit : NULL, NULL);
    for (int i = 0; i < n; i++) {
      connection *c = events[i].data.ptr;
      if (!c) {
        accept_all(listener);
        continue;
      }
      int result = events[i].events & (EPOLLERR | EPOLLHUP) ? -1 : 0;
      if (!result && events[i].events & EPOLLOUT) result = on_writable(c);
      if (!result && events[i].events & EPOLLIN) result = on_readable(c);
      if (result) close_connection(c);
    }
    moment = now();
    while (timer_count && timers[1]->due <= moment) {
      connection *c = timers[1];
      if (on_time(c)) close_connection(c);
    }
  }
}
