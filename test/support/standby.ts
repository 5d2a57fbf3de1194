import { FaultServer } from './fault-server.js';

/** Starts a hot standby without a primary. It accepts reads only. */
export async function startStandby(): Promise<FaultServer> {
  const server = await FaultServer.start();
  await server.becomeStandby();
  return server;
}
