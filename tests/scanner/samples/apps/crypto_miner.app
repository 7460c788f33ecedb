file("lib/arm64-v8a/libm.so", b"\x7fELF\x02\x01\x01" + b"\0mining.subscribe\0mining.authorize\0stratum+tcp://pool.example.org:3333\0randomx\0")

# near miss: the documentation of the protocol
file("lib/arm64-v8a/libm.so", b"About ELF\x02\x01\x01" + b"\0mining.subscribe\0mining.authorize\0stratum+tcp://pool.example.org:3333\0randomx\0")
