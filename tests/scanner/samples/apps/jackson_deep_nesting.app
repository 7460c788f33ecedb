file("META-INF/maven/com.fasterxml.jackson.core/jackson-databind/pom.properties", "version=2.13.2\ngroupId=com.fasterxml.jackson.core\n")

# near miss: the version that mends it
file("META-INF/maven/com.fasterxml.jackson.core/jackson-databind/pom.properties", "version=2.13.2.1\ngroupId=com.fasterxml.jackson.core\n")
