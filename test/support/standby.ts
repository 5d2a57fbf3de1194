import { FaultServer } from './fault-server.js';

/** Starts a hot standby: it waits for a primary that never comes, and takes readers meanwhile. */
export async function startStandby(): Promise<FaultServer> {
  const server = await FaultServer.start();
  await server.becomeStandby();
  return server;
}
