file("lib/arm64-v8a/libnative.so", b"\x7fELF\x02\x01\x01" + b"\0OpenSSL 1.0.1f 6 Jan 2014\0OPENSSLDIR: N/A\0")

# near miss: the version that mends it
file("lib/arm64-v8a/libnative.so", b"\x7fELF\x02\x01\x01" + b"\0OpenSSL 1.0.1g 7 Apr 2014\0OPENSSLDIR: N/A\0")
