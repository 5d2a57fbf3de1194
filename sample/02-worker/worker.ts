import { NestFactory } from '@nestjs/core';
import { DemoLogger } from '../support/demo.logger.js';
import { ShopModule } from './shop.module.js';

/** Doesn't listen on a port. Its cron jobs keep it alive until a signal ends it. */
const app = await NestFactory.createApplicationContext(
  ShopModule.forProcess({ scheduling: true }),
  { logger: new DemoLogger({ logLevels: ['log', 'warn', 'error', 'fatal'] }) },
);
app.enableShutdownHooks();
console.log('Scheduling');
