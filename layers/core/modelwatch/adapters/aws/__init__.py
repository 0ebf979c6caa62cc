"""AWS and Lambda, for the other rooms: clients, S3 objects, queues, the extension, EMF."""
