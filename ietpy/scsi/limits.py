"""What one command may ask for: numbers we chose, told to initiators in the Block Limits VPD page."""

from __future__ import annotations

from typing import Final

#: Bytes one READ, WRITE or VERIFY may move; sinks and Data-Out buffers are sized by it. libiscsi's tests move 32 MiB
#: at once without asking.
MAXIMUM_TRANSFER: Final = 32 << 20

#: Bytes of a transfer that runs best: large enough to hide a round trip, small enough for a buffer pool.
OPTIMAL_TRANSFER: Final = 1 << 20

#: Reads of at least this many bytes are promised as an Extent where the store offers it. 2026-11, target's time for one
#: read: 64 KiB take 17 us with preadv and 19 with sendfile, 128 KiB 38 and 28.
EXTENT_MINIMUM: Final = 128 << 10

#: Bytes of the largest READ or WRITE that is moved in a batch: above, a worker of its own costs little, and a batch of
#: answers much memory.
JOINT_TRANSFER: Final = 64 << 10

#: Blocks one COMPARE AND WRITE may cover: the most its CDB can say.
MAXIMUM_COMPARE_AND_WRITE: Final = 255

#: Bytes the cache is trusted to take for one PRE-FETCH; of more so many are fetched.
PREFETCH: Final = 32 << 20

#: Bytes one WRITE SAME may cover; bounds how long a worker is busy when the pattern is not zero. Who may write same
#: 65536 blocks may write so many as well: libiscsi's tests compare the two.
MAXIMUM_WRITE_SAME: Final = MAXIMUM_TRANSFER

#: Bytes one UNMAP may cover, and how many block descriptors it may carry. libiscsi's tests call more than 2^20 blocks
#: insane.
MAXIMUM_UNMAP: Final = 512 << 20
MAXIMUM_UNMAP_DESCRIPTORS: Final = 256

#: How often the store is asked for one GET LBA STATUS; who wants more goes on from where the answer ends.
LBA_STATUS_LOOKS: Final = 1024

#: Bytes a store is asked to copy by itself at once.
COPY_PIECE: Final = 64 << 20

#: Bytes written or compared at once by commands that repeat or check a pattern.
CHUNK: Final = 1 << 20
