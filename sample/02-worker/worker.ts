import { NestFactory } from '@nestjs/core';
import { DemoLogger } from '../support/demo.logger.js';
import { ShopModule } from './shop.module.js';

/** Listens to nobody. Its cron jobs keep it alive, and a signal ends it. */
const app = await NestFactory.createApplicationContext(
  ShopModule.forProcess({ scheduling: true }),
  { logger: new DemoLogger({ logLevels: ['log', 'warn', 'error', 'fatal'] }) },
);
app.enableShutdownHooks();
console.log('Scheduling');
