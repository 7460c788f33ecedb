file("lib/arm64-v8a/libnative.so", b"\x7fELF\x02\x01\x01" + b"\0libpng version 1.6.18 - July 23, 2015\0")

# near miss: the version that mends it
file("lib/arm64-v8a/libnative.so", b"\x7fELF\x02\x01\x01" + b"\0libpng version 1.6.19 - November 12, 2015\0")
