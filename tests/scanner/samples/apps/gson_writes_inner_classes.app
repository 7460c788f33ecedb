app(package="com.google.gson")

class Version:
    def text(self):
        return "AssertionError (GSON 2.8.8): "

# near miss: the version that mends it
class Version:
    def text(self):
        return "AssertionError (GSON 2.8.9): "
