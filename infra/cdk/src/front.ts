import { Duration } from 'aws-cdk-lib';
import { Peer, Port } from 'aws-cdk-lib/aws-ec2';
import type { FargateService } from 'aws-cdk-lib/aws-ecs';
import {
  ApplicationLoadBalancer,
  ApplicationProtocol,
  ListenerAction,
  ListenerCertificate,
  ListenerCondition,
  SslPolicy,
  type ApplicationListener,
  type ApplicationTargetGroup,
} from 'aws-cdk-lib/aws-elasticloadbalancingv2';
import type { Bucket } from 'aws-cdk-lib/aws-s3';
import type { Construct } from 'constructs';
import type { Network } from './network.ts';
import type { Settings } from './settings.ts';

export const WEBHOOK_PORT = 3000;
export const WEB_PORT = 3001;
/** Longer than a delivery takes, and shorter than the drain: nothing new comes to a task that ends. */
const DEREGISTRATION = Duration.seconds(15);

/** TLS for the outside. Only /webhooks leads to the receivers; the page has a name of its own. */
export function makeFront(
  scope: Construct,
  network: Network,
  settings: Settings,
  accessLogs: Bucket,
): {
  readonly balancer: ApplicationLoadBalancer;
  readonly listener: ApplicationListener;
} {
  const balancer = new ApplicationLoadBalancer(scope, 'Balancer', {
    vpc: network.vpc,
    internetFacing: true,
    securityGroup: network.balancer,
    dropInvalidHeaderFields: true,
    deletionProtection: true,
  });
  balancer.logAccessLogs(accessLogs, 'balancer');
  network.balancer.addIngressRule(Peer.anyIpv4(), Port.tcp(443), 'GitHub, and people');
  const listener = balancer.addListener('Https', {
    port: 443,
    protocol: ApplicationProtocol.HTTPS,
    certificates: [ListenerCertificate.fromArn(settings.certificateArn)],
    sslPolicy: SslPolicy.RECOMMENDED_TLS,
    open: false,
    defaultAction: ListenerAction.fixedResponse(404, { contentType: 'text/plain', messageBody: 'not found' }),
  });
  return { balancer, listener };
}

/** Leads deliveries to the receivers; returns them as the balancer sees them. */
export function exposeReceiver(
  listener: ApplicationListener,
  network: Network,
  service: FargateService,
): ApplicationTargetGroup {
  const receivers = listener.addTargets('Receivers', {
    priority: 10,
    conditions: [ListenerCondition.pathPatterns(['/webhooks', '/webhooks/*'])],
    port: WEBHOOK_PORT,
    protocol: ApplicationProtocol.HTTP,
    targets: [service],
    deregistrationDelay: DEREGISTRATION,
    healthCheck: { path: '/healthz', interval: Duration.seconds(10), timeout: Duration.seconds(5) },
  });
  network.services.addIngressRule(network.balancer, Port.tcp(WEBHOOK_PORT), 'deliveries');
  network.balancer.addEgressRule(network.services, Port.tcp(WEBHOOK_PORT), 'deliveries');
  return receivers;
}

/** Leads people to the page, by its host name. */
export function exposeWeb(
  listener: ApplicationListener,
  network: Network,
  service: FargateService,
  url: string,
): void {
  listener.addTargets('Web', {
    priority: 20,
    conditions: [ListenerCondition.hostHeaders([new URL(url).hostname])],
    port: WEB_PORT,
    protocol: ApplicationProtocol.HTTP,
    targets: [service],
    deregistrationDelay: DEREGISTRATION,
    // Asked by another name than its own, the page answers 421: it is there.
    healthCheck: { path: '/-/icon.svg', healthyHttpCodes: '200,421' },
  });
  network.services.addIngressRule(network.balancer, Port.tcp(WEB_PORT), 'people');
  network.balancer.addEgressRule(network.services, Port.tcp(WEB_PORT), 'people');
}
