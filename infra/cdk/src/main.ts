import { App, Validations } from 'aws-cdk-lib';
import { AwsSolutionsChecks } from 'cdk-nag';
import { EverlogStack } from './everlog-stack.ts';
import { readSettings } from './settings.ts';

const app = new App();
new EverlogStack(app, readSettings(app));
Validations.of(app).addPlugins(new AwsSolutionsChecks(app));
app.synth();
