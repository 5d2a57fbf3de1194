import { createServer } from 'node:net';
import type { INestApplication } from '@nestjs/common';

const HOST = '127.0.0.1';
const DEFAULT_PORT = 3000;

/** Listens on PORT or 3000, or on a free port if that one is taken. */
export async function listen(app: INestApplication): Promise<string> {
  const port = Number(process.env.PORT || DEFAULT_PORT);
  // Checked first, because Nest would log an error for a taken port.
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
