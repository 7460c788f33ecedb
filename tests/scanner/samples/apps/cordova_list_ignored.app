file("assets/www/cordova.js", "// Platform: android\nvar PLATFORM_VERSION_BUILD_LABEL = '4.0.2';\n")

# near miss: the version that mends it
file("assets/www/cordova.js", "// Platform: android\nvar PLATFORM_VERSION_BUILD_LABEL = '4.1.1';\n")
