file("play-services-basement.properties", "version=18.0.1\nclient=play-services-basement\n")

# near miss: the version that mends it
file("play-services-basement.properties", "version=18.0.2\nclient=play-services-basement\n")
