file("lib/arm64-v8a/libnative.so", b"\x7fELF\x02\x01\x01" + b"\0OpenSSL 1.1.1m  14 Dec 2021\0OPENSSLDIR: N/A\0")

# near miss: the version that mends it
file("lib/arm64-v8a/libnative.so", b"\x7fELF\x02\x01\x01" + b"\0OpenSSL 1.1.1n  15 Mar 2022\0OPENSSLDIR: N/A\0")
