import { NestFactory } from '@nestjs/core';
import { DemoLogger } from '../support/demo.logger.js';
import { WebModule } from './web.module.js';

const app = await NestFactory.create(WebModule, {
  logger: new DemoLogger({ logLevels: ['log', 'warn', 'error', 'fatal'] }),
});
app.enableShutdownHooks();
await app.listen(Number(process.env.PORT ?? 3000), '127.0.0.1');
console.log(`Listening on ${await app.getUrl()}`);
