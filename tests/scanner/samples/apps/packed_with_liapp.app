file("assets/LIAPPClient.sc", b"\x10\x20 configuration of the packer")

# near miss: the entry of that name holds the app's resources
file("assets/LIAPPClient.sc", b"\x02\x00\x0c\x00" + b"\0" * 40)
