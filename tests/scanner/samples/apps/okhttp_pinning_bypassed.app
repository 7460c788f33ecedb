app(package="okhttp3.internal")

class Version:
    def text(self):
        return "okhttp/3.1.1"

# near miss: the version that mends it
class Version:
    def text(self):
        return "okhttp/3.1.2"
