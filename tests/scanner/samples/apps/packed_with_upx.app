file("lib/arm64-v8a/libe.so", b"\x7fELF\x02\x01\x01" + b"\0" * 80 + b"UPX!" + b"\0" * 40)

# near miss: a library that mentions the packer far behind its headers
file("lib/arm64-v8a/libe.so", b"\x7fELF\x02\x01\x01" + b"\0" * 4000 + b"UPX!" + b"\0" * 40)
