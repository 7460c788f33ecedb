file("assets/a.inf", "[AutoRun]\r\nopen=setup\\photos.exe\r\nicon=folder.ico\r\n")

# near miss: a list of dangerous lines, far from the beginning of a file that Windows would read
file("assets/a.inf", "Lines that should make you suspicious when you find them on a drive that somebody gave you:\r\n[AutoRun]\r\nopen=setup\\photos.exe\r\nicon=folder.ico\r\n")
