import { Module } from '@nestjs/common';
import { SaleController } from './sale.controller.js';
import { ShopModule } from './shop.module.js';

@Module({
  imports: [ShopModule.forProcess({ scheduling: false })],
  controllers: [SaleController],
})
export class WebModule {}
