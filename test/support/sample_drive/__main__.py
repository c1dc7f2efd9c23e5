"""`python -m support.sample_drive OUT` writes a recording of the sample street."""

import sys

from support.sample_drive.bag import SampleDrive

print(f'wrote {SampleDrive().write(sys.argv[1])}')
