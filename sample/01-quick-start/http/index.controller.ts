import { Controller, Get, Header } from '@nestjs/common';
import { AdoptionService } from './adoption.service.js';
import { indexPage } from './index.page.js';

@Controller()
export class IndexController {
  constructor(private readonly adoption: AdoptionService) {}

  @Get()
  @Header('Content-Type', 'text/html; charset=utf-8')
  async show(): Promise<string> {
    return indexPage(await this.adoption.read());
  }
}
