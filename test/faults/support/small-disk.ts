import { execFileSync } from 'node:child_process';
import { appendFileSync, chownSync, mkdtempSync, rmdirSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import path from 'node:path';
import { serverUser } from '../../../sample/support/postgres-server.js';

/** A file system of 6 MB that a test can fill. Only root can create one. */
export class SmallDisk {
  readonly directory = mkdtempSync(path.join(tmpdir(), 'small-disk-'));

  constructor() {
    try {
      execFileSync('mount', ['-t', 'tmpfs', '-o', 'size=6m', 'tmpfs', this.directory], {
        stdio: 'pipe',
      });
    } catch (error) {
      rmdirSync(this.directory);
      throw error;
    }
    const { uid = 0, gid = 0 } = serverUser();
    chownSync(this.directory, uid, gid);
  }

  /** Fills the disk. Returns a function that frees the space. */
  fill(): () => void {
    const file = path.join(this.directory, 'filler');
    const block = Buffer.alloc(8_192);
    try {
      for (;;) {
        appendFileSync(file, block);
      }
    } catch (error) {
      if ((error as NodeJS.ErrnoException).code !== 'ENOSPC') {
        throw error;
      }
    }
    return () => rmSync(file);
  }

  remove(): void {
    // Lazy (`-l`), because the server may still have a file open.
    execFileSync('umount', ['-l', this.directory]);
    rmdirSync(this.directory);
  }
}
