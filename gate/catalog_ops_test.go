package gate

var catalogOps = []catalogService{
	{
		name: "Datadog",
		auth: `DD-API-KEY: $DD_API_KEY
DD-APPLICATION-KEY: $DD_APP_KEY`,
		calls: []catalogCall{
			{"datadog_query_metrics", `{"host":"api.datadoghq.eu","from":1700000000,"to":1700003600,"query":"avg:system.cpu.user{*}"}`, `GET https://api.datadoghq.eu/api/v1/query?from=1700000000&to=1700003600&query=avg%3Asystem.cpu.user%7B%2A%7D`, ``},
			{"datadog_search_logs", `{"host":"api.datadoghq.eu","query":"service:api status:error","from":"now-1h","to":"now","limit":20}`, `POST https://api.datadoghq.eu/api/v2/logs/events/search`, `{"filter":{"query":"service:api status:error","from":"now-1h","to":"now"},"page":{"limit":20},"sort":"-timestamp"}`},
			{"datadog_list_monitors", `{"host":"api.datadoghq.eu","tags":"team:web"}`, `GET https://api.datadoghq.eu/api/v1/monitor?tags=team%3Aweb`, ``},
			{"datadog_mute_monitor", `{"host":"api.datadoghq.eu","monitor":7,"scope":"env:prod","end":"2026-01-05T10:00:00Z","message":"Works"}`, `POST https://api.datadoghq.eu/api/v2/downtime`, `{"data":{"type":"downtime","attributes":{"scope":"env:prod","message":"Works","monitor_identifier":{"monitor_id":7},"schedule":{"end":"2026-01-05T10:00:00Z"}}}}`},
		},
		probes: []catalogProbe{
			{"datadog", `GET https://api.datadoghq.com/api/v1/dashboard`, `DD-API-KEY: $DD_API_KEY
DD-APPLICATION-KEY: $DD_APP_KEY`},
			{"datadog", `GET https://api.datadoghq.eu/api/v1/dashboard`, `DD-API-KEY: $DD_API_KEY
DD-APPLICATION-KEY: $DD_APP_KEY`},
			{"datadog", `GET https://api.us5.datadoghq.com/api/v1/dashboard`, `DD-API-KEY: $DD_API_KEY
DD-APPLICATION-KEY: $DD_APP_KEY`},
			{"datadog", `POST https://http-intake.logs.datadoghq.com/api/v2/logs`, `DD-API-KEY: $DD_API_KEY`},
			{"datadog", `GET https://api.datadoghq.com/api/v2/api_keys`, `DD-API-KEY: $DD_API_KEY`},
			{"datadog", `GET https://app.datadoghq.com/`, `refused`},
		},
	},
	{
		name: "Datadog",
		auth: `DD-API-KEY: $DD_API_KEY`,
		calls: []catalogCall{
			{"datadog_post_event", `{"host":"api.datadoghq.eu","title":"Deployed","text":"v2","tags":["env:prod"],"alert_type":"info"}`, `POST https://api.datadoghq.eu/api/v1/events`, `{"title":"Deployed","text":"v2","tags":["env:prod"],"alert_type":"info"}`},
		},
	},
	{
		name: "Grafana",
		auth: `Authorization: Bearer $GRAFANA_TOKEN`,
		calls: []catalogCall{
			{"grafana_search", `{"stack":"acme","query":"cpu","type":"dash-db","tag":["prod"],"limit":20}`, `GET https://acme.grafana.net/api/search?query=cpu&type=dash-db&tag=prod&limit=20`, ``},
			{"grafana_get_dashboard", `{"stack":"acme","uid":"abc"}`, `GET https://acme.grafana.net/api/dashboards/uid/abc`, ``},
			{"grafana_list_datasources", `{"stack":"acme"}`, `GET https://acme.grafana.net/api/datasources`, ``},
			{"grafana_query", `{"stack":"acme","queries":[{"refId":"A","datasource":{"uid":"prom"},"expr":"up"}],"from":"now-1h","to":"now"}`, `POST https://acme.grafana.net/api/ds/query`, `{"queries":[{"refId":"A","datasource":{"uid":"prom"},"expr":"up"}],"from":"now-1h","to":"now"}`},
			{"grafana_list_alerts", `{"stack":"acme","active":true}`, `GET https://acme.grafana.net/api/alertmanager/grafana/api/v2/alerts?active=true`, ``},
			{"grafana_annotate", `{"stack":"acme","text":"Deployed","tags":["deploy"],"time":1700000000000}`, `POST https://acme.grafana.net/api/annotations`, `{"text":"Deployed","tags":["deploy"],"time":1700000000000}`},
		},
		probes: []catalogProbe{
			{"grafana", `GET https://acme.grafana.net/api/search?query=x`, `Authorization: Bearer $GRAFANA_TOKEN`},
			{"grafana", `POST https://acme.grafana.net/api/ds/query`, `Authorization: Bearer $GRAFANA_TOKEN`},
			{"grafana", `GET https://acme.grafana.net/apis/dashboard.grafana.app/v1/x`, `Authorization: Bearer $GRAFANA_TOKEN`},
			{"grafana", `POST https://acme.grafana.net/api/serviceaccounts/1/tokens`, ``},
			{"grafana", `GET https://acme.grafana.net/login`, `refused`},
			{"grafana", `GET https://grafana.net/api/x`, `refused`},
		},
	},
	{
		name: "PagerDuty",
		calls: []catalogCall{
			{"pagerduty_send_event", `{"event_action":"trigger","dedup_key":"disk-1","summary":"Disk full","source":"web-1","severity":"error"}`, `POST https://events.pagerduty.com/v2/enqueue`, `{"routing_key":"$PAGERDUTY_ROUTING_KEY","event_action":"trigger","dedup_key":"disk-1","payload":{"summary":"Disk full","source":"web-1","severity":"error"}}`},
		},
		probes: []catalogProbe{
			{"pagerduty", `GET https://api.pagerduty.com/services`, `Authorization: Token token=$PAGERDUTY_TOKEN`},
			{"pagerduty", `GET https://api.eu.pagerduty.com/services`, `Authorization: Token token=$PAGERDUTY_TOKEN`},
			{"pagerduty", `GET https://acme.pagerduty.com/`, `refused`},
			{"pagerduty_events", `POST https://events.pagerduty.com/v2/enqueue {"routing_key":"$PAGERDUTY_ROUTING_KEY","event_action":"trigger"}`, ``},
			{"pagerduty_events", `POST https://events.eu.pagerduty.com/v2/change/enqueue {"routing_key":"$PAGERDUTY_ROUTING_KEY"}`, ``},
			{"pagerduty_events", `POST https://events.pagerduty.com/v2/enqueue?key=$PAGERDUTY_ROUTING_KEY`, `tripwire`},
			{"pagerduty_events", `GET https://events.pagerduty.com/v2/enqueue`, `refused`},
			{"pagerduty_events", `POST https://events.pagerduty.com/integration/x/enqueue`, `refused`},
			{"pagerduty_events", `POST https://api.pagerduty.com/v2/enqueue`, `refused`},
		},
	},
	{
		name: "PagerDuty",
		auth: `Authorization: Token token=$PAGERDUTY_TOKEN`,
		calls: []catalogCall{
			{"pagerduty_list_incidents", `{"statuses":["triggered","acknowledged"],"limit":20}`, `GET https://api.pagerduty.com/incidents?statuses%5B%5D=triggered&statuses%5B%5D=acknowledged&limit=20`, ``},
			{"pagerduty_get_incident", `{"incident":"P1"}`, `GET https://api.pagerduty.com/incidents/P1`, ``},
			{"pagerduty_list_oncalls", `{"policies":["E1"]}`, `GET https://api.pagerduty.com/oncalls?escalation_policy_ids%5B%5D=E1`, ``},
		},
	},
	{
		name:    "PagerDuty",
		auth:    `Authorization: Token token=$PAGERDUTY_TOKEN`,
		headers: `From: me@example.com`,
		calls: []catalogCall{
			{"pagerduty_create_incident", `{"from":"me@example.com","service":"S1","title":"It is down","urgency":"high","details":"How"}`, `POST https://api.pagerduty.com/incidents`, `{"incident":{"type":"incident","title":"It is down","service":{"id":"S1","type":"service_reference"},"urgency":"high","body":{"type":"incident_body","details":"How"}}}`},
			{"pagerduty_update_incident", `{"from":"me@example.com","incident":"P1","status":"acknowledged"}`, `PUT https://api.pagerduty.com/incidents/P1`, `{"incident":{"type":"incident_reference","status":"acknowledged"}}`},
			{"pagerduty_add_note", `{"from":"me@example.com","incident":"P1","content":"Seen"}`, `POST https://api.pagerduty.com/incidents/P1/notes`, `{"note":{"content":"Seen"}}`},
		},
	},
	{
		name: "New Relic",
		auth: `Api-Key: $NEW_RELIC_API_KEY`,
		calls: []catalogCall{
			{"newrelic_query", `{"account":12345,"nrql":"SELECT count(*) FROM Transaction SINCE 1 hour ago"}`, `POST https://api.newrelic.com/graphql`, `{"query":"query($account: Int!, $nrql: Nrql!) { actor { account(id: $account) { nrql(query: $nrql) { results } } } }","variables":{"account":12345,"nrql":"SELECT count(*) FROM Transaction SINCE 1 hour ago"}}`},
		},
		probes: []catalogProbe{
			{"newrelic", `POST https://api.newrelic.com/graphql`, `Api-Key: $NEW_RELIC_API_KEY`},
			{"newrelic", `POST https://api.eu.newrelic.com/graphql`, `Api-Key: $NEW_RELIC_API_KEY`},
			{"newrelic", `GET https://one.newrelic.com/`, `refused`},
		},
	},
	{
		name: "Honeycomb",
		auth: `X-Honeycomb-Team: $HONEYCOMB_API_KEY`,
		calls: []catalogCall{
			{"honeycomb_list_datasets", `{}`, `GET https://api.honeycomb.io/1/datasets`, ``},
			{"honeycomb_mark", `{"dataset":"app","message":"v2","type":"deploy"}`, `POST https://api.honeycomb.io/1/markers/app`, `{"message":"v2","type":"deploy"}`},
		},
		probes: []catalogProbe{
			{"honeycomb", `GET https://api.honeycomb.io/1/datasets`, `X-Honeycomb-Team: $HONEYCOMB_API_KEY`},
			{"honeycomb", `POST https://api.eu1.honeycomb.io/1/events/app`, `X-Honeycomb-Team: $HONEYCOMB_API_KEY`},
			{"honeycomb", `GET https://ui.honeycomb.io/`, `refused`},
		},
	},
	{
		name: "Cloudflare",
		auth: `Authorization: Bearer $CLOUDFLARE_API_TOKEN`,
		calls: []catalogCall{
			{"cloudflare_list_zones", `{"name":"example.com","per_page":20}`, `GET https://api.cloudflare.com/client/v4/zones?name=example.com&per_page=20`, ``},
			{"cloudflare_list_dns", `{"zone":"z1","type":"A","name":"www.example.com"}`, `GET https://api.cloudflare.com/client/v4/zones/z1/dns_records?type=A&name=www.example.com`, ``},
			{"cloudflare_create_dns", `{"zone":"z1","type":"A","name":"www.example.com","content":"192.0.2.1","ttl":300,"proxied":true}`, `POST https://api.cloudflare.com/client/v4/zones/z1/dns_records`, `{"type":"A","name":"www.example.com","content":"192.0.2.1","ttl":300,"proxied":true}`},
			{"cloudflare_update_dns", `{"zone":"z1","record":"r1","type":"A","name":"www.example.com","content":"192.0.2.1","ttl":300,"proxied":true}`, `PATCH https://api.cloudflare.com/client/v4/zones/z1/dns_records/r1`, `{"type":"A","name":"www.example.com","content":"192.0.2.1","ttl":300,"proxied":true}`},
			{"cloudflare_delete_dns", `{"zone":"z1","record":"r1"}`, `DELETE https://api.cloudflare.com/client/v4/zones/z1/dns_records/r1`, ``},
			{"cloudflare_purge_cache", `{"zone":"z1","files":["https://example.com/a.css"]}`, `POST https://api.cloudflare.com/client/v4/zones/z1/purge_cache`, `{"files":["https://example.com/a.css"]}`},
			{"cloudflare_list_workers", `{"account":"a1"}`, `GET https://api.cloudflare.com/client/v4/accounts/a1/workers/scripts`, ``},
		},
		probes: []catalogProbe{
			{"cloudflare", `GET https://api.cloudflare.com/client/v4/zones`, `Authorization: Bearer $CLOUDFLARE_API_TOKEN`},
			{"cloudflare", `DELETE https://api.cloudflare.com/client/v4/zones/z/dns_records/r`, `Authorization: Bearer $CLOUDFLARE_API_TOKEN`},
			{"cloudflare", `POST https://api.cloudflare.com/client/v4/graphql`, `Authorization: Bearer $CLOUDFLARE_API_TOKEN`},
			{"cloudflare", `POST https://api.cloudflare.com/client/v4/user/tokens`, ``},
			{"cloudflare", `GET https://dash.cloudflare.com/`, `refused`},
			{"cloudflare_read", `GET https://api.cloudflare.com/client/v4/zones`, `Authorization: Bearer $CLOUDFLARE_API_TOKEN`},
			{"cloudflare_read", `GET https://api.cloudflare.com/client/v4/user/tokens/verify`, ``},
			{"cloudflare_read", `POST https://api.cloudflare.com/client/v4/zones`, `refused`},
			{"cloudflare_read", `GET https://api.cloudflare.com/other`, `refused`},
		},
	},
	{
		name: "Vercel",
		auth: `Authorization: Bearer $VERCEL_TOKEN`,
		calls: []catalogCall{
			{"vercel_list_projects", `{"teamId":"team_1","search":"app","limit":20}`, `GET https://api.vercel.com/v9/projects?teamId=team_1&search=app&limit=20`, ``},
			{"vercel_list_deployments", `{"teamId":"team_1","projectId":"prj_1","state":"ERROR","limit":10}`, `GET https://api.vercel.com/v6/deployments?teamId=team_1&projectId=prj_1&state=ERROR&limit=10`, ``},
			{"vercel_get_deployment", `{"teamId":"team_1","deployment":"dpl_1"}`, `GET https://api.vercel.com/v13/deployments/dpl_1?teamId=team_1`, ``},
			{"vercel_get_build_log", `{"teamId":"team_1","deployment":"dpl_1","limit":200}`, `GET https://api.vercel.com/v3/deployments/dpl_1/events?teamId=team_1&limit=200`, ``},
			{"vercel_redeploy", `{"teamId":"team_1","name":"app","deploymentId":"dpl_1","target":"production"}`, `POST https://api.vercel.com/v13/deployments?teamId=team_1`, `{"name":"app","deploymentId":"dpl_1","target":"production"}`},
		},
		probes: []catalogProbe{
			{"vercel", `GET https://api.vercel.com/v9/projects`, `Authorization: Bearer $VERCEL_TOKEN`},
			{"vercel", `DELETE https://api.vercel.com/v9/projects/p`, `Authorization: Bearer $VERCEL_TOKEN`},
			{"vercel", `POST https://api.vercel.com/v3/user/tokens`, ``},
			{"vercel", `GET https://vercel.com/`, `refused`},
			{"vercel_read", `GET https://api.vercel.com/v6/deployments`, `Authorization: Bearer $VERCEL_TOKEN`},
			{"vercel_read", `GET https://api.vercel.com/v9/projects/p/env`, ``},
			{"vercel_read", `POST https://api.vercel.com/v13/deployments`, `refused`},
			{"vercel_read", `GET https://vercel.com/`, `refused`},
		},
	},
	{
		name: "Render",
		auth: `Authorization: Bearer $RENDER_API_KEY`,
		calls: []catalogCall{
			{"render_list_services", `{"name":"app","limit":20}`, `GET https://api.render.com/v1/services?name=app&limit=20`, ``},
			{"render_list_deploys", `{"service":"srv-1","limit":10}`, `GET https://api.render.com/v1/services/srv-1/deploys?limit=10`, ``},
			{"render_deploy", `{"service":"srv-1","clearCache":"do_not_clear"}`, `POST https://api.render.com/v1/services/srv-1/deploys`, `{"clearCache":"do_not_clear"}`},
			{"render_restart", `{"service":"srv-1"}`, `POST https://api.render.com/v1/services/srv-1/restart`, ``},
			{"render_get_logs", `{"owner":"tea-1","resource":["srv-1"],"start":"2026-01-01T00:00:00Z","limit":50}`, `GET https://api.render.com/v1/logs?ownerId=tea-1&resource=srv-1&startTime=2026-01-01T00%3A00%3A00Z&limit=50`, ``},
		},
		probes: []catalogProbe{
			{"render", `GET https://api.render.com/v1/services`, `Authorization: Bearer $RENDER_API_KEY`},
			{"render", `DELETE https://api.render.com/v1/services/s`, `Authorization: Bearer $RENDER_API_KEY`},
			{"render", `GET https://dashboard.render.com/`, `refused`},
			{"render", `POST https://api.render.com/deploy/srv-1`, `refused`},
		},
	},
	{
		name: "Netlify",
		auth: `Authorization: Bearer $NETLIFY_AUTH_TOKEN`,
		calls: []catalogCall{
			{"netlify_list_sites", `{"name":"app","per_page":20}`, `GET https://api.netlify.com/api/v1/sites?name=app&per_page=20`, ``},
			{"netlify_list_deploys", `{"site":"s1","per_page":10}`, `GET https://api.netlify.com/api/v1/sites/s1/deploys?per_page=10`, ``},
			{"netlify_build", `{"site":"s1","clear_cache":true}`, `POST https://api.netlify.com/api/v1/sites/s1/builds`, `{"clear_cache":true}`},
		},
		probes: []catalogProbe{
			{"netlify", `GET https://api.netlify.com/api/v1/sites`, `Authorization: Bearer $NETLIFY_AUTH_TOKEN`},
			{"netlify", `POST https://api.netlify.com/api/v1/oauth/tickets`, ``},
			{"netlify", `GET https://app.netlify.com/`, `refused`},
		},
	},
	{
		name: "Fly.io",
		auth: `Authorization: Bearer $FLY_API_TOKEN`,
		calls: []catalogCall{
			{"fly_list_machines", `{"app":"web"}`, `GET https://api.machines.dev/v1/apps/web/machines`, ``},
			{"fly_restart_machine", `{"app":"web","machine":"m1"}`, `POST https://api.machines.dev/v1/apps/web/machines/m1/restart`, ``},
		},
		probes: []catalogProbe{
			{"fly", `GET https://api.machines.dev/v1/apps?org_slug=personal`, `Authorization: Bearer $FLY_API_TOKEN`},
			{"fly", `POST https://api.fly.io/graphql`, `Authorization: Bearer $FLY_API_TOKEN`},
			{"fly", `GET https://fly.io/`, `refused`},
		},
	},
	{
		name:    "Heroku",
		auth:    `Authorization: Bearer $HEROKU_API_KEY`,
		headers: `Accept: application/vnd.heroku+json; version=3`,
		calls: []catalogCall{
			{"heroku_list_apps", `{}`, `GET https://api.heroku.com/apps`, ``},
			{"heroku_list_releases", `{"app":"web"}`, `GET https://api.heroku.com/apps/web/releases`, ``},
			{"heroku_restart", `{"app":"web"}`, `DELETE https://api.heroku.com/apps/web/dynos`, ``},
		},
		probes: []catalogProbe{
			{"heroku", `GET https://api.heroku.com/apps`, `Authorization: Bearer $HEROKU_API_KEY`},
			{"heroku", `POST https://api.heroku.com/oauth/authorizations`, ``},
			{"heroku", `GET https://dashboard.heroku.com/`, `refused`},
		},
	},
	{
		name: "DigitalOcean",
		auth: `Authorization: Bearer $DIGITALOCEAN_TOKEN`,
		calls: []catalogCall{
			{"digitalocean_list_droplets", `{"tag_name":"web","per_page":20}`, `GET https://api.digitalocean.com/v2/droplets?tag_name=web&per_page=20`, ``},
			{"digitalocean_list_apps", `{"per_page":20}`, `GET https://api.digitalocean.com/v2/apps?per_page=20`, ``},
			{"digitalocean_deploy_app", `{"app":"a1","force_build":true}`, `POST https://api.digitalocean.com/v2/apps/a1/deployments`, `{"force_build":true}`},
		},
		probes: []catalogProbe{
			{"digitalocean", `GET https://api.digitalocean.com/v2/droplets`, `Authorization: Bearer $DIGITALOCEAN_TOKEN`},
			{"digitalocean", `DELETE https://api.digitalocean.com/v2/droplets/1`, `Authorization: Bearer $DIGITALOCEAN_TOKEN`},
			{"digitalocean", `GET https://api.digitalocean.com/v2/kubernetes/clusters/c/kubeconfig`, ``},
			{"digitalocean", `GET https://cloud.digitalocean.com/`, `refused`},
		},
	},
	{
		name: "Supabase",
		auth: `Authorization: Bearer $SUPABASE_KEY
apikey: $SUPABASE_KEY`,
		calls: []catalogCall{
			{"supabase_select", `{"project":"abcdefgh","table":"todos","select":"id,title","filter":{"done":"eq.false"},"limit":20}`, `GET https://abcdefgh.supabase.co/rest/v1/todos?select=id%2Ctitle&done=eq.false&limit=20`, ``},
		},
		probes: []catalogProbe{
			{"supabase", `GET https://abc.supabase.co/rest/v1/todos?select=*`, `Authorization: Bearer $SUPABASE_KEY
apikey: $SUPABASE_KEY`},
			{"supabase", `POST https://abc.supabase.co/functions/v1/hello`, `Authorization: Bearer $SUPABASE_KEY
apikey: $SUPABASE_KEY`},
			{"supabase", `GET https://abc.supabase.co/storage/v1/object/b/a.png`, `Authorization: Bearer $SUPABASE_KEY
apikey: $SUPABASE_KEY`},
			{"supabase", `POST https://abc.supabase.co/auth/v1/admin/users`, `refused`},
			{"supabase", `GET https://supabase.co/`, `refused`},
			{"supabase_management", `GET https://api.supabase.com/v1/projects`, `Authorization: Bearer $SUPABASE_ACCESS_TOKEN`},
			{"supabase_management", `GET https://api.supabase.com/v1/projects/p/api-keys`, ``},
			{"supabase_management", `GET https://supabase.com/`, `refused`},
		},
	},
	{
		name: "Supabase",
		auth: `Authorization: Bearer $SUPABASE_KEY
apikey: $SUPABASE_KEY`,
		headers: `Prefer: return=representation`,
		calls: []catalogCall{
			{"supabase_insert", `{"project":"abcdefgh","table":"todos","rows":[{"title":"a"}]}`, `POST https://abcdefgh.supabase.co/rest/v1/todos`, `[{"title":"a"}]`},
		},
	},
	{
		name: "LaunchDarkly",
		auth: `Authorization: $LAUNCHDARKLY_ACCESS_TOKEN`,
		calls: []catalogCall{
			{"launchdarkly_list_flags", `{"project":"default","env":"production","limit":20}`, `GET https://app.launchdarkly.com/api/v2/flags/default?env=production&limit=20`, ``},
		},
		probes: []catalogProbe{
			{"launchdarkly", `GET https://app.launchdarkly.com/api/v2/flags/p`, `Authorization: $LAUNCHDARKLY_ACCESS_TOKEN`},
			{"launchdarkly", `POST https://app.launchdarkly.com/api/v2/tokens`, ``},
			{"launchdarkly", `GET https://app.launchdarkly.com/login`, `refused`},
		},
	},
	{
		name:    "LaunchDarkly",
		auth:    `Authorization: $LAUNCHDARKLY_ACCESS_TOKEN`,
		headers: `Content-Type: application/json; domain-model=launchdarkly.semanticpatch`,
		calls: []catalogCall{
			{"launchdarkly_switch_flag", `{"project":"default","flag":"new-page","environmentKey":"production","kind":"turnFlagOn"}`, `PATCH https://app.launchdarkly.com/api/v2/flags/default/new-page`, `{"environmentKey":"production","instructions":[{"kind":"turnFlagOn"}]}`},
		},
	},
	{
		name:    "Algolia",
		auth:    `X-Algolia-API-Key: $ALGOLIA_API_KEY`,
		headers: `X-Algolia-Application-Id: app1`,
		calls: []catalogCall{
			{"algolia_search", `{"application":"app1","index":"books","query":"gate","hitsPerPage":5}`, `POST https://app1.algolia.net/1/indexes/books/query`, `{"query":"gate","hitsPerPage":5}`},
		},
		probes: []catalogProbe{
			{"algolia", `POST https://app1-dsn.algolia.net/1/indexes/i/query`, `X-Algolia-API-Key: $ALGOLIA_API_KEY`},
			{"algolia", `GET https://app1-1.algolianet.com/1/indexes`, `X-Algolia-API-Key: $ALGOLIA_API_KEY`},
			{"algolia", `GET https://app1.algolia.net/1/keys`, ``},
			{"algolia", `GET https://www.algolia.com/`, `refused`},
		},
	},
	{
		name: "S3 and other object stores",
		auth: `Authorization: Bearer $GCS_ACCESS_TOKEN`,
		calls: []catalogCall{
			{"google_storage_list", `{"bucket":"files","prefix":"a/","max_results":50}`, `GET https://storage.googleapis.com/storage/v1/b/files/o?prefix=a%2F&maxResults=50`, ``},
			{"google_storage_read", `{"bucket":"files","object":"a/b.txt"}`, `GET https://storage.googleapis.com/storage/v1/b/files/o/a%2Fb.txt?alt=media`, ``},
		},
		probes: []catalogProbe{
			{"s3_presigned", `GET https://b.s3.amazonaws.com/k?X-Amz-Signature=s`, ``},
			{"s3_presigned", `PUT https://b.s3.eu-central-1.amazonaws.com/k?X-Amz-Algorithm=AWS4-HMAC-SHA256&X-Amz-Signature=s`, ``},
			{"s3_presigned", `GET https://a.r2.cloudflarestorage.com/b/k?X-Amz-Signature=s`, ``},
			{"s3_presigned", `GET https://b.fra1.digitaloceanspaces.com/k?X-Amz-Signature=s`, ``},
			{"s3_presigned", `GET https://b.s3.us-west-004.backblazeb2.com/k?X-Amz-Signature=s`, ``},
			{"s3_presigned", `PUT https://acct.blob.core.windows.net/c/k?sv=2024&sig=s`, ``},
			{"s3_presigned", `DELETE https://b.s3.amazonaws.com/k?X-Amz-Signature=s`, `refused`},
			{"s3_presigned", `GET https://ec2-192-0-2-1.compute-1.amazonaws.com/`, `refused`},
			{"google_storage", `GET https://storage.googleapis.com/storage/v1/b/b/o`, `Authorization: Bearer $GCS_ACCESS_TOKEN`},
			{"google_storage", `POST https://storage.googleapis.com/upload/storage/v1/b/b/o?uploadType=media&name=k`, `Authorization: Bearer $GCS_ACCESS_TOKEN`},
			{"google_storage", `GET https://b.storage.googleapis.com/k`, `Authorization: Bearer $GCS_ACCESS_TOKEN`},
			{"google_storage", `GET https://storage.googleapis.com/b/k?X-Goog-Signature=s`, ``},
			{"google_storage", `GET https://compute.googleapis.com/`, `refused`},
		},
	},
	{
		name: "Stripe",
		auth: `Authorization: Bearer $STRIPE_API_KEY`,
		calls: []catalogCall{
			{"stripe_get_balance", `{}`, `GET https://api.stripe.com/v1/balance`, ``},
			{"stripe_list_customers", `{"email":"a@example.com","limit":10}`, `GET https://api.stripe.com/v1/customers?email=a%40example.com&limit=10`, ``},
			{"stripe_list_payments", `{"customer":"cus_1","limit":10}`, `GET https://api.stripe.com/v1/payment_intents?customer=cus_1&limit=10`, ``},
			{"stripe_list_invoices", `{"customer":"cus_1","status":"open","limit":10}`, `GET https://api.stripe.com/v1/invoices?customer=cus_1&status=open&limit=10`, ``},
			{"stripe_list_subscriptions", `{"customer":"cus_1","status":"active","limit":10}`, `GET https://api.stripe.com/v1/subscriptions?customer=cus_1&status=active&limit=10`, ``},
			{"stripe_cancel_subscription", `{"subscription":"sub_1"}`, `DELETE https://api.stripe.com/v1/subscriptions/sub_1`, ``},
		},
		probes: []catalogProbe{
			{"stripe", `POST https://api.stripe.com/v1/refunds`, `Authorization: Bearer $STRIPE_API_KEY`},
			{"stripe", `GET https://api.stripe.com/v2/core/events`, `Authorization: Bearer $STRIPE_API_KEY`},
			{"stripe", `POST https://files.stripe.com/v1/files`, `Authorization: Bearer $STRIPE_API_KEY`},
			{"stripe", `POST https://api.stripe.com/v1/ephemeral_keys`, ``},
			{"stripe", `GET https://dashboard.stripe.com/`, `refused`},
			{"stripe_read", `GET https://api.stripe.com/v1/balance`, `Authorization: Bearer $STRIPE_API_KEY`},
			{"stripe_read", `GET https://files.stripe.com/v1/files/f/contents`, `Authorization: Bearer $STRIPE_API_KEY`},
			{"stripe_read", `GET https://api.stripe.com/v1/apps/secrets`, ``},
			{"stripe_read", `POST https://api.stripe.com/v1/refunds`, `refused`},
			{"stripe_read", `GET https://dashboard.stripe.com/`, `refused`},
		},
	},
	{
		name:    "Stripe",
		auth:    `Authorization: Bearer $STRIPE_API_KEY`,
		headers: `Content-Type: application/x-www-form-urlencoded`,
		calls: []catalogCall{
			{"stripe_create_customer", `{"email":"a@example.com","name":"Ada & Co","metadata":{"k":"v"}}`, `POST https://api.stripe.com/v1/customers`, `email=a%40example.com&metadata%5Bk%5D=v&name=Ada+%26+Co`},
			{"stripe_create_payment_link", `{"price":"price_1","quantity":1}`, `POST https://api.stripe.com/v1/payment_links`, `line_items%5B0%5D%5Bprice%5D=price_1&line_items%5B0%5D%5Bquantity%5D=1`},
			{"stripe_refund", `{"payment_intent":"pi_1","amount":500,"reason":"requested_by_customer"}`, `POST https://api.stripe.com/v1/refunds`, `payment_intent=pi_1&amount=500&reason=requested_by_customer`},
		},
	},
	{
		name: "Shopify",
		auth: `X-Shopify-Access-Token: $SHOPIFY_ACCESS_TOKEN`,
		calls: []catalogCall{
			{"shopify_list_orders", `{"shop":"acme","query":"financial_status:paid","first":10}`, `POST https://acme.myshopify.com/admin/api/2025-10/graphql.json`, `{"query":"query($first: Int!, $query: String) { orders(first: $first, query: $query, sortKey: CREATED_AT, reverse: true) { nodes { id name createdAt displayFinancialStatus displayFulfillmentStatus totalPriceSet { shopMoney { amount currencyCode } } } } }","variables":{"query":"financial_status:paid","first":10}}`},
			{"shopify_list_products", `{"shop":"acme","query":"title:gate","first":10}`, `POST https://acme.myshopify.com/admin/api/2025-10/graphql.json`, `{"query":"query($first: Int!, $query: String) { products(first: $first, query: $query) { nodes { id title status totalInventory } } }","variables":{"query":"title:gate","first":10}}`},
		},
		probes: []catalogProbe{
			{"shopify", `POST https://acme.myshopify.com/admin/api/2025-10/graphql.json`, `X-Shopify-Access-Token: $SHOPIFY_ACCESS_TOKEN`},
			{"shopify", `GET https://acme.myshopify.com/admin/api/2025-10/shop.json`, `X-Shopify-Access-Token: $SHOPIFY_ACCESS_TOKEN`},
			{"shopify", `GET https://acme.myshopify.com/admin/oauth/access_token`, `refused`},
			{"shopify", `GET https://myshopify.com/admin/api/x`, `refused`},
		},
	},
	{
		name: "OpenWeather",
		auth: `query appid=$OPENWEATHER_API_KEY`,
		calls: []catalogCall{
			{"openweather_now", `{"q":"Oslo,NO","units":"metric"}`, `GET https://api.openweathermap.org/data/2.5/weather?q=Oslo%2CNO&units=metric`, ``},
		},
		probes: []catalogProbe{
			{"openweather", `GET https://api.openweathermap.org/data/2.5/forecast?q=Oslo`, `query appid=$OPENWEATHER_API_KEY`},
			{"openweather", `POST https://api.openweathermap.org/data/2.5/weather`, `refused`},
			{"openweather", `GET https://openweathermap.org/`, `refused`},
		},
	},
}
