"""Objects, by Spark's own file systems: in S3, or below a folder that stands for it."""

from __future__ import annotations

import re
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any, List, NamedTuple, Optional

from py4j.java_gateway import JavaClass
from py4j.protocol import Py4JJavaError
from pyspark.sql import SparkSession

REQUESTS_AT_ONCE = 16
# How S3 answers to a condition that there be no object: there is one; another one is being put.
EXISTS, IN_CONFLICT = 412, 409
PUTS_MAX = 10


class Part(NamedTuple):
    """An object that was written."""

    key: str
    bytes: int
    number: int


class Look(NamedTuple):
    """What an object is at a moment; nothing where the store keeps no such thing."""

    bytes: int
    etag: Optional[str]
    version: Optional[str]
    modified: int


def looked_at(service: Any, requests: Any, bucket: str, key: str) -> Optional[Look]:
    """An object of S3 as it is now, if there is one."""
    request = requests.HeadObjectRequest.builder().bucket(bucket).key(key).build()
    try:
        found = service.headObject(request)
    except Py4JJavaError as error:
        if error.java_exception.getClass().getName().endswith("NoSuchKeyException"):
            return None
        raise
    version = found.versionId()
    modified = int(found.lastModified().toEpochMilli())
    return Look(int(found.contentLength()), str(found.eTag()).strip('"'), version and str(version), modified)


def put_first(service: Any, sdk: Any, bucket: str, key: str, text: str) -> bool:
    """Puts an object of S3, unless there is one: S3 itself decides. Whether it was put."""
    # As a header: not every version of the SDK has a method for the condition.
    condition = sdk.awscore.AwsRequestOverrideConfiguration.builder().putHeader("If-None-Match", "*").build()
    request = sdk.services.s3.model.PutObjectRequest.builder().bucket(bucket).key(key)
    request = request.overrideConfiguration(condition).build()
    for _ in range(PUTS_MAX):
        try:
            service.putObject(request, sdk.core.sync.RequestBody.fromString(text))
            return True
        except Py4JJavaError as error:
            if not error.java_exception.getClass().getName().endswith(".S3Exception"):
                raise
            status = int(error.java_exception.statusCode())
            if status == EXISTS:
                return False
            if status != IN_CONFLICT:
                raise
    raise OSError(f"s3://{bucket}/{key} is being written by others all the time")


# Tells Spark to take paths as they are. It would look for patterns in them otherwise, and finds no path that has both a
# colon and what stands for a pattern, be it escaped.
NO_PATTERNS = {"__globPaths__": "false"}


def uniform(uri: str) -> str:
    """A URI as all parts of Spark write it: those of files have one slash, or three."""
    return re.sub("^file:/+", "file:/", uri)


class Store:
    """Buckets: those of S3, or folders below `root`."""

    def __init__(self, session: SparkSession, root: Optional[str] = None) -> None:
        self.root = root
        self.jvm: Any = session._jvm
        self.configuration: Any = session._jsc.hadoopConfiguration()
        self.service: Any = None
        self.lock = threading.Lock()

    def path(self, bucket: str, key: str) -> str:
        """Where an object is."""
        return f"s3://{bucket}/{key}" if self.root is None else f"file://{self.root}/{bucket}/{key}"

    def uri(self, path: str) -> str:
        """The path as Spark's file metadata has it."""
        return uniform(str(self._path(path).toUri().toString()))

    def _path(self, path: str) -> Any:
        return self.jvm.org.apache.hadoop.fs.Path(path)

    def _files(self, path: str) -> Any:
        return self._path(path).getFileSystem(self.configuration)

    def look(self, bucket: str, key: str) -> Optional[Look]:
        """An object as it is now, if there is one. Hadoop's file systems do not all know tags and versions: in S3 the
        service itself is asked, by the SDK that they stand on. What stands for S3 in a test knows length and time."""
        service = None if self.root else self._service()
        if service is not None:
            return looked_at(service, self.jvm.software.amazon.awssdk.services.s3.model, bucket, key)
        path = self._path(self.path(bucket, key))
        files = path.getFileSystem(self.configuration)
        if not files.exists(path):
            return None
        status = files.getFileStatus(path)
        return Look(int(status.getLen()), None, None, int(status.getModificationTime()))

    def _service(self) -> Any:
        """The client of S3; none where a file system stands for it."""
        if "ViewFileSystem" in self.configuration.get("fs.s3.impl", ""):
            return None
        with self.lock:
            if self.service is None:
                client = self.jvm.software.amazon.awssdk.services.s3.S3Client
                if not isinstance(client, JavaClass):
                    raise RuntimeError("the AWS SDK for Java 2 is not on Spark's class path: S3 tells no versions")
                self.service = client.create()
            return self.service

    def head(self, path: str, most: int) -> bytes:
        """The first bytes of an object."""
        stream = self._files(path).open(self._path(path))
        try:
            bounded = self.jvm.org.apache.commons.io.input.BoundedInputStream(stream, most)
            return bytes(self.jvm.org.apache.commons.io.IOUtils.toByteArray(bounded))
        finally:
            stream.close()

    def parquet_schema(self, path: str) -> Any:
        """What a Parquet file's footer says of its columns."""
        parquet = self.jvm.org.apache.parquet
        file = parquet.hadoop.util.HadoopInputFile.fromPath(self._path(path), self.configuration)
        wanted = parquet.format.converter.ParquetMetadataConverter.SKIP_ROW_GROUPS
        options = parquet.HadoopReadOptions.builder(self.configuration).withMetadataFilter(wanted).build()
        reader = parquet.hadoop.ParquetFileReader.open(file, options)
        try:
            return reader.getFileMetaData().getSchema()
        finally:
            reader.close()

    def read(self, path: str) -> str:
        """An object's text."""
        return self.head(path, 1 << 30).decode()

    def write_first(self, bucket: str, key: str, text: str) -> str:
        """Writes an object, unless there is one. What stands there then."""
        path, service = self.path(bucket, key), None if self.root else self._service()
        if service is not None:
            written = put_first(service, self.jvm.software.amazon.awssdk, bucket, key, text)
        else:
            written = self._create(path, text)
        return text if written else self.read(path)

    def _create(self, path: str, text: str) -> bool:
        """Creates a file, unless there is one. File systems do that at once; of S3, Hadoop makes a look and a put."""
        try:
            stream = self._files(path).create(self._path(path), False)
        except Py4JJavaError as error:
            if "FileAlreadyExists" not in str(error.java_exception.getClass().getName()):
                raise
            return False
        stream.write(bytearray(text.encode()))
        stream.close()
        return True

    def exists(self, path: str) -> bool:
        """Whether there is an object."""
        return bool(self._files(path).exists(self._path(path)))

    def settle(self, folder: str, key: str, extension: str) -> List[Part]:
        """Gives the files that Spark has written their keys: Spark's own have a number, and an id that nobody can
        foresee."""
        files = self._files(folder)
        found = []
        for status in files.listStatus(self._path(folder)):
            numbered = re.match(r"part-(\d+)", str(status.getPath().getName()))
            if numbered and status.getLen() > 0:
                found.append((int(numbered[1]), status.getPath(), int(status.getLen())))
        parts, targets = [], []
        for index, (number, path, length) in enumerate(sorted(found, key=lambda one: one[0])):
            name = f"part-{index:05}.{extension}"
            targets.append((path, self._path(f"{folder}/{name}")))
            parts.append(Part(f"{key}/{name}", length, number))
        with ThreadPoolExecutor(REQUESTS_AT_ONCE) as pool:
            if not all(pool.map(lambda target: files.rename(*target), targets)):
                raise OSError(f"a part in {folder} could not be given its key")
        return parts
