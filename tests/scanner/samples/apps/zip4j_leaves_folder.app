file("META-INF/maven/net.lingala.zip4j/zip4j/pom.properties", "version=1.3.2\ngroupId=net.lingala.zip4j\n")

# near miss: the version that mends it
file("META-INF/maven/net.lingala.zip4j/zip4j/pom.properties", "version=1.3.3\ngroupId=net.lingala.zip4j\n")
