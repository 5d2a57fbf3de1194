import { createServer } from 'node:net';
import type { INestApplication } from '@nestjs/common';

const HOST = '127.0.0.1';
const DEFAULT_PORT = 3000;

/** Listens on PORT or 3000, or on a free port when that one is taken. */
export async function listen(app: INestApplication): Promise<string> {
  const port = Number(process.env.PORT || DEFAULT_PORT);
  // Tried beforehand: Nest would log the error of a port that is taken.
  if (await isTaken(port)) {
    console.log(`         Port ${port} is taken, so a free one is used`);
    await app.listen(0, HOST);
  } else {
    await app.listen(port, HOST);
  }
  return app.getUrl();
}

async function isTaken(port: number): Promise<boolean> {
  const probe = createServer();
  try {
    await new Promise<void>((resolve, reject) => {
      probe.once('error', reject).listen(port, HOST, resolve);
    });
    return false;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== 'EADDRINUSE') {
      throw error;
    }
    return true;
  } finally {
    probe.close();
  }
}
