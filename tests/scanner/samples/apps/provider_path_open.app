permissions("INTERNET")

@provider(authorities="org.example.sample.files", exported=True)
class Files(ContentProvider):
    def openFile(self, place, mode):
        return self.open(place.getLastPathSegment())
    def open(self, name: String) -> ParcelFileDescriptor:
        file = File(self.getContext().getFilesDir(), name)
        return ParcelFileDescriptor.open(file, 268435456)

# near miss: opens its one file, whatever was asked for
@provider(authorities="org.example.sample.files", exported=True)
class Files(ContentProvider):
    def openFile(self, place, mode):
        return self.open(place.getLastPathSegment())
    def open(self, name: String) -> ParcelFileDescriptor:
        file = self.getContext().getFilesDir()
        return ParcelFileDescriptor.open(file, 268435456)
