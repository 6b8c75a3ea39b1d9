"""Image files to arrays in canonical orientation: pictures, volumes, DICOM, video."""
