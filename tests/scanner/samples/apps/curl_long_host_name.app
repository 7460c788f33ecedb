file("lib/arm64-v8a/libnative.so", b"\x7fELF\x02\x01\x01" + b"\0libcurl/8.3.0\0")

# near miss: the version that mends it
file("lib/arm64-v8a/libnative.so", b"\x7fELF\x02\x01\x01" + b"\0libcurl/8.4.0\0")
