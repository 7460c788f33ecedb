permissions("INTERNET")

@service(permission="BIND_NOTIFICATION_LISTENER_SERVICE", actions=["android.service.notification.NotificationListenerService"])
class Replies(NotificationListenerService):
    def onNotificationPosted(self, posted):
        page = URL("https://example.org/t").openStream()
        text = BufferedReader(InputStreamReader(page)).readLine()
        self.reply(posted.getNotification().actions[0], text)
    def reply(self, action: Notification_Action, text: String):
        answer = Bundle()
        answer.putCharSequence("answer", text)
        intent = Intent()
        RemoteInput.addResultsToIntent(action.getRemoteInputs(), intent, answer)
        action.actionIntent.send(self, 0, intent)

# near miss: an answering machine, which says what stands in it
@service(permission="BIND_NOTIFICATION_LISTENER_SERVICE", actions=["android.service.notification.NotificationListenerService"])
class Replies(NotificationListenerService):
    def onNotificationPosted(self, posted):
        page = URL("https://example.org/t").openStream()
        text = BufferedReader(InputStreamReader(page)).readLine()
        Toast.makeText(self, text, 1).show()
        self.reply(posted.getNotification().actions[0], "answer")
    def reply(self, action: Notification_Action, text: String):
        answer = Bundle()
        answer.putCharSequence("answer", text)
        intent = Intent()
        RemoteInput.addResultsToIntent(action.getRemoteInputs(), intent, answer)
        action.actionIntent.send(self, 0, intent)
