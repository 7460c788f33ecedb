app(package="org.bouncycastle.jce.provider")

class Version:
    def text(self):
        return "BouncyCastle Security Provider v1.66"

# near miss: the version that mends it
class Version:
    def text(self):
        return "BouncyCastle Security Provider v1.67"
