"""Black-box tests: a real `gateway serve`, real sockets, scripted upstreams."""
