file("lib/arm64-v8a/libe.so", b"\x7fELF\x02\x01\x01" + b"\0Obfuscator-LLVM clang version 4.0.1\0")

# near miss: a text about compilers with the same words
file("lib/arm64-v8a/libe.so", b"About ELF\x02\x01\x01" + b"\0Obfuscator-LLVM clang version 4.0.1\0")
