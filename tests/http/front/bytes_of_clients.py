"""What a client may send, as strategies: requests built of right and wrong parts, then damaged a little."""

from hypothesis import strategies as st

CLEAN = b"\r\n"
ENDS = st.sampled_from([CLEAN] * 100 + [b"\n", b"\r", b"\r\r\n", b"\n\r\n", b" \r\n", b"\r\n "])
METHODS = st.sampled_from(
    [b"GET"] * 20
    + [b"POST"] * 40
    + [
        b"HEAD",
        b"OPTIONS",
        b"PUT",
        b"DELETE",
        b"get",
        b"Post",
        b"FROB",
        b"",
        b"G\0T",
        b"CONNECT",
        b"M-SEARCH",
    ]
)
TARGETS = st.sampled_from(
    [b"/"] * 40
    + [b"/a?b=c", b"/a%20b", b"*", b"//a/b", b"/\xe9", b"/a b", b"/#f", b"", b"a", b"/\0", b"/\x7f", b"/%zz"]
    + [b"http://u@a/", b"ftp://a/", b"http:///x", b"a:80", b"/a\tb", b"/../x"]
)
VERSIONS = st.sampled_from(
    [b"HTTP/1.1"] * 60
    + [b"HTTP/1.0"] * 10
    + [
        b"HTTP/1.2",
        b"HTTP/2.0",
        b"HTTP/0.9",
        b"http/1.1",
        b"HTTP/1.10",
        b"HTTP/11",
        b"HTTP/1,1",
        b"HTTP",
        b"",
        b"ICE/1.0",
    ]
)
SPACES = st.sampled_from([b" "] * 60 + [b"  ", b"\t", b"", b"\x0b", b"\xa0"])
HOSTS = st.sampled_from(
    [[b"Host: a"]] * 40
    + [[], [b"Host:"], [b"host: a", b"HOST: b"], [b"Host : a"], [b"Host: a\0"], [b" Host: a"], [b"Host: a b"]]
)
LENGTHS = [
    b"5", b"0", b"3", b"05", b"+5", b"-5", b"5,5", b"5, 5", b"5 5", b"0x5", b"5.0", b"", b"5;", b"\x0b5",
    b"5\0", b"99999999999999999999", b"18446744073709551621", b"4294967301", b"\xb2", b"1_0", b"5\t", b" 5 ",
]  # fmt: skip
CODINGS = [b"chunked"] * 30 + [
    b"Chunked", b" chunked ", b"\tchunked", b"chunked,", b",chunked", b"identity", b"gzip, chunked",
    b"chunked, chunked", b"chunked, identity", b"xchunked", b"chunked\0", b"\x0bchunked", b"", b'"chunked"',
    b"chunked;a=b", b"chunke",
]  # fmt: skip
OTHERS = [
    b"X: y", b"X:", b"X:y\t", b"X: \xe9", b"X: a\0b", b"X: a\x01b", b"X: a\x7fb", b"X : y", b"X\t: y", b"X",
    b": y", b"X y: z", b"\xe9: y", b" folded", b"\tfolded", b"X: a\r\n b", b"X: a\rY: b", b"X: a\nY: b",
    b"", b"Connection: close", b"Connection: keep-alive", b"Connection: x, close", b"connection: CLOSE",
    b"Connection: upgrade", b"Upgrade: foo", b"Expect: 100-continue", b"Expect: other", b"TE: trailers",
    b"Trailer: x", b"Keep-Alive: 5", b"X-Y_Z: 1", b"X(: 1", b"GET / HTTP/1.1", b"Content-Length : 5",
    b"Transfer-Encoding : chunked", b"Content_Length: 5", b"Transfer-Encoding\0: chunked",
]  # fmt: skip
SIZES = st.sampled_from(
    [b"5"] * 60
    + [
        b"05",
        b"0005",
        b"5 ",
        b" 5",
        b"5\t",
        b"+5",
        b"-5",
        b"0x5",
        b"5;",
        b"5;a=b",
        b'5;a="b"',
        b"5 ;a",
        b"5;a\rb",
        b"5;\0",
        b"5;\xe9",
    ]
    + [b"", b"g", b"FFFFFFFFFFFFFFFF", b"10000000000000005", b"5,", b"4", b"6", b"0", b"00", b"5_", b"\x0b5"]
)
TRAILERS = st.sampled_from(
    [b""] * 10
    + [
        b"X: y\r\n",
        b"X : y\r\n",
        b"X\r\n",
        b"Content-Length: 5\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b" x\r\n",
        b"\0: a\r\n",
    ]
)


@st.composite
def chunks(draw: st.DrawFn) -> bytes:
    """A body in chunks of five bytes, the most of them right."""
    body = b""
    for _ in range(draw(st.integers(0, 3))):
        body += draw(SIZES) + draw(ENDS) + b"hello" + draw(ENDS)
    return (
        body
        + draw(st.sampled_from([b"0"] * 30 + [b"00", b"0;x", b"", b"0 ", b"-0"]))
        + draw(ENDS)
        + draw(TRAILERS)
        + draw(ENDS)
    )


@st.composite
def requests(draw: st.DrawFn) -> bytes:
    """One request."""
    lines = list(draw(HOSTS))
    framing = draw(st.sampled_from(["none"] * 3 + ["length"] * 5 + ["chunks"] * 8 + ["both"]))
    if framing in ("length", "both"):
        lines.append(b"Content-Length: " + draw(st.sampled_from([b"5"] * 30 + LENGTHS)))
    if framing in ("chunks", "both"):
        lines.append(b"Transfer-Encoding: " + draw(st.sampled_from(CODINGS)))
    if draw(st.integers(0, 15)) == 0:
        lines.append(b"Content-Length: " + draw(st.sampled_from(LENGTHS)))
    if draw(st.integers(0, 15)) == 0:
        lines.append(b"Transfer-Encoding: " + draw(st.sampled_from(CODINGS)))
    lines += draw(st.lists(st.sampled_from(OTHERS), max_size=2)) if draw(st.booleans()) else []
    lines = draw(st.permutations(lines))
    head = draw(METHODS) + draw(SPACES) + draw(TARGETS) + draw(SPACES) + draw(VERSIONS) + draw(ENDS)
    head += b"".join(line + draw(ENDS) for line in lines) + draw(ENDS)
    if framing in ("chunks", "both"):
        return head + draw(chunks())
    return head + (
        b"hello" if framing == "length" else draw(st.sampled_from([b"", b"", b"hello", b"0\r\n\r\n"]))
    )


@st.composite
def damaged(draw: st.DrawFn, what: st.SearchStrategy[bytes]) -> bytes:
    """The same with a byte or two changed, lost, doubled or moved, or with none."""
    data = bytearray(draw(what))
    for _ in range(draw(st.sampled_from([0, 0, 0, 0, 0, 1, 1, 2]))):
        place = draw(st.integers(0, max(len(data) - 1, 0)))
        other = draw(
            st.sampled_from(
                [b"\r", b"\n", b"\r\n", b"\0", b" ", b"\t", b":", b",", b"5", b"0", b"\xff", b";"]
            )
        )
        match draw(st.integers(0, 3)):
            case 0:
                data[place : place + 1] = other
            case 1:
                data[place:place] = other
            case 2:
                del data[place : place + draw(st.integers(1, 4))]
            case _:
                data[place:place] = data[place : place + draw(st.integers(1, 12))]
    return bytes(data)
