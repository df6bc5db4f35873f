"""What disks hold, and where: image files, overlays that vanish, versions that stay readable while writing goes on."""

from __future__ import annotations

from hypernest.disks.content import content_digest, data_clusters
from hypernest.disks.disk import CLUSTER, SECTOR, Content, Disk, DiskMode
from hypernest.disks.disk_file import DiskFile
from hypernest.disks.overlay import OverlayDisk
from hypernest.disks.versions import DiskVersion, VersionedDisk

__all__ = [
    "CLUSTER",
    "SECTOR",
    "Content",
    "Disk",
    "DiskFile",
    "DiskMode",
    "DiskVersion",
    "OverlayDisk",
    "VersionedDisk",
    "content_digest",
    "data_clusters",
]
