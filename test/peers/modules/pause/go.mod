module tracecar.dev/test/peers/pause

go 1.26.0
