file("META-INF/maven/com.google.protobuf/protobuf-javalite/pom.properties", "version=3.25.4\ngroupId=com.google.protobuf\n")

# near miss: the version that mends it
file("META-INF/maven/com.google.protobuf/protobuf-javalite/pom.properties", "version=3.25.5\ngroupId=com.google.protobuf\n")
