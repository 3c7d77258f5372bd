package gate

var catalogMore = []catalogService{
	{
		name: "Terraform Cloud",
		auth: `Authorization: Bearer $TFE_TOKEN`,
		calls: []catalogCall{
			{"terraform_list_workspaces", `{"organization":"acme","name":"web","size":20}`, `GET https://app.terraform.io/api/v2/organizations/acme/workspaces?search%5Bname%5D=web&page%5Bsize%5D=20`, ``},
			{"terraform_list_runs", `{"workspace":"ws-1","size":10}`, `GET https://app.terraform.io/api/v2/workspaces/ws-1/runs?page%5Bsize%5D=10`, ``},
		},
		probes: []catalogProbe{
			{"terraform", `GET https://app.terraform.io/api/v2/organizations`, `Authorization: Bearer $TFE_TOKEN`},
			{"terraform", `POST https://app.terraform.io/api/v2/organizations/o/authentication-token`, ``},
			{"terraform", `GET https://registry.terraform.io/v1/providers/hashicorp/aws/versions`, ``},
			{"terraform", `PUT https://archivist.terraform.io/v1/object/x`, ``},
			{"terraform", `GET https://www.terraform.io/`, `refused`},
		},
	},
	{
		name:    "Terraform Cloud",
		auth:    `Authorization: Bearer $TFE_TOKEN`,
		headers: `Content-Type: application/vnd.api+json`,
		calls: []catalogCall{
			{"terraform_plan", `{"workspace":"ws-1","message":"Why"}`, `POST https://app.terraform.io/api/v2/runs`, `{"data":{"type":"runs","attributes":{"message":"Why","auto-apply":false,"plan-only":true},"relationships":{"workspace":{"data":{"type":"workspaces","id":"ws-1"}}}}}`},
			{"terraform_apply", `{"run":"run-1","comment":"Fine"}`, `POST https://app.terraform.io/api/v2/runs/run-1/actions/apply`, `{"comment":"Fine"}`},
		},
	},
	{
		name: "Neon",
		auth: `Authorization: Bearer $NEON_API_KEY`,
		calls: []catalogCall{
			{"neon_list_projects", `{"limit":20,"search":"web"}`, `GET https://console.neon.tech/api/v2/projects?limit=20&search=web`, ``},
			{"neon_list_branches", `{"project":"p-1"}`, `GET https://console.neon.tech/api/v2/projects/p-1/branches`, ``},
			{"neon_create_branch", `{"project":"p-1","name":"try"}`, `POST https://console.neon.tech/api/v2/projects/p-1/branches`, `{"branch":{"name":"try"}}`},
		},
		probes: []catalogProbe{
			{"neon", `GET https://console.neon.tech/api/v2/projects`, `Authorization: Bearer $NEON_API_KEY`},
			{"neon", `POST https://console.neon.tech/api/v2/api_keys`, ``},
			{"neon", `GET https://console.neon.tech/api/v2/projects/p/connection_uri?database_name=d`, ``},
			{"neon", `GET https://console.neon.tech/app`, `refused`},
		},
	},
	{
		name: "Upstash Redis",
		auth: `Authorization: Bearer $UPSTASH_REDIS_REST_TOKEN`,
		calls: []catalogCall{
			{"upstash_get", `{"database":"eu1-cat-1","key":"greeting"}`, `GET https://eu1-cat-1.upstash.io/get/greeting`, ``},
		},
		probes: []catalogProbe{
			{"upstash", `POST https://eu1-cat-1.upstash.io/pipeline`, `Authorization: Bearer $UPSTASH_REDIS_REST_TOKEN`},
			{"upstash", `GET https://upstash.io/`, `refused`},
		},
	},
	{
		name:    "Upstash Redis",
		auth:    `Authorization: Bearer $UPSTASH_REDIS_REST_TOKEN`,
		headers: `Content-Type: text/plain`,
		calls: []catalogCall{
			{"upstash_set", `{"database":"eu1-cat-1","key":"greeting","value":"hello","seconds":60}`, `POST https://eu1-cat-1.upstash.io/set/greeting?EX=60`, `hello`},
		},
	},
	{
		name: "Railway",
		auth: `Authorization: Bearer $RAILWAY_API_TOKEN`,
		calls: []catalogCall{
			{"railway_list_projects", `{}`, `POST https://backboard.railway.com/graphql/v2`, `{"query":"query { projects { edges { node { id name services { edges { node { id name } } } environments { edges { node { id name } } } } } } }"}`},
		},
		probes: []catalogProbe{
			{"railway", `POST https://backboard.railway.com/graphql/v2`, `Authorization: Bearer $RAILWAY_API_TOKEN`},
			{"railway", `GET https://railway.com/`, `refused`},
			{"railway", `GET https://backboard.railway.com/other`, `refused`},
		},
	},
	{
		name: "Snyk",
		auth: `Authorization: token $SNYK_TOKEN`,
		calls: []catalogCall{
			{"snyk_list_issues", `{"org":"1a2b","severity":"high,critical","limit":20}`, `GET https://api.snyk.io/rest/orgs/1a2b/issues?version=2024-10-15&effective_severity_level=high%2Ccritical&limit=20`, ``},
		},
		probes: []catalogProbe{
			{"snyk", `GET https://api.snyk.io/rest/self?version=2024-10-15`, `Authorization: token $SNYK_TOKEN`},
			{"snyk", `GET https://app.snyk.io/`, `refused`},
		},
	},
	{
		name: "SonarQube Cloud",
		auth: `Authorization: Bearer $SONAR_TOKEN`,
		calls: []catalogCall{
			{"sonarcloud_list_issues", `{"project":"acme_app","statuses":"OPEN","page_size":50}`, `GET https://sonarcloud.io/api/issues/search?componentKeys=acme_app&statuses=OPEN&ps=50`, ``},
		},
		probes: []catalogProbe{
			{"sonarcloud", `GET https://sonarcloud.io/api/issues/search?componentKeys=p`, `Authorization: Bearer $SONAR_TOKEN`},
			{"sonarcloud", `POST https://sonarcloud.io/api/user_tokens/generate`, ``},
			{"sonarcloud", `GET https://www.sonarsource.com/`, `refused`},
		},
	},
	{
		name: "Opsgenie",
		auth: `Authorization: GenieKey $OPSGENIE_API_KEY`,
		calls: []catalogCall{
			{"opsgenie_list_alerts", `{"query":"status:open","limit":20}`, `GET https://api.opsgenie.com/v2/alerts?query=status%3Aopen&limit=20`, ``},
			{"opsgenie_create_alert", `{"message":"Disk full","description":"How","priority":"P2","alias":"disk-1"}`, `POST https://api.opsgenie.com/v2/alerts`, `{"message":"Disk full","description":"How","priority":"P2","alias":"disk-1"}`},
		},
		probes: []catalogProbe{
			{"opsgenie", `GET https://api.eu.opsgenie.com/v2/alerts`, `Authorization: GenieKey $OPSGENIE_API_KEY`},
			{"opsgenie", `GET https://app.opsgenie.com/`, `refused`},
		},
	},
	{
		name: "PostHog",
		auth: `Authorization: Bearer $POSTHOG_API_KEY`,
		calls: []catalogCall{
			{"posthog_query", `{"host":"us.posthog.com","project":"1","query":"select count() from events"}`, `POST https://us.posthog.com/api/projects/1/query/`, `{"query":{"kind":"HogQLQuery","query":"select count() from events"}}`},
		},
		probes: []catalogProbe{
			{"posthog", `GET https://eu.posthog.com/api/projects/1/insights/`, `Authorization: Bearer $POSTHOG_API_KEY`},
			{"posthog", `POST https://us.posthog.com/api/personal_api_keys/`, ``},
			{"posthog", `GET https://us.posthog.com/login`, `refused`},
		},
	},
	{
		name: "Calendly",
		auth: `Authorization: Bearer $CALENDLY_TOKEN`,
		calls: []catalogCall{
			{"calendly_list_events", `{"user":"https://api.calendly.com/users/U1","min_start_time":"2026-01-01T00:00:00Z","status":"active","count":20}`, `GET https://api.calendly.com/scheduled_events?user=https%3A%2F%2Fapi.calendly.com%2Fusers%2FU1&min_start_time=2026-01-01T00%3A00%3A00Z&status=active&count=20`, ``},
		},
		probes: []catalogProbe{
			{"calendly", `GET https://api.calendly.com/users/me`, `Authorization: Bearer $CALENDLY_TOKEN`},
			{"calendly", `GET https://calendly.com/`, `refused`},
		},
	},
	{
		name: "Zoom",
		auth: `Authorization: Bearer $ZOOM_ACCESS_TOKEN`,
		calls: []catalogCall{
			{"zoom_list_meetings", `{"user":"me","type":"upcoming","page_size":20}`, `GET https://api.zoom.us/v2/users/me/meetings?type=upcoming&page_size=20`, ``},
			{"zoom_create_meeting", `{"user":"me","topic":"Review","start_time":"2026-01-05T10:00:00Z","duration":30}`, `POST https://api.zoom.us/v2/users/me/meetings`, `{"topic":"Review","type":2,"start_time":"2026-01-05T10:00:00Z","duration":30}`},
		},
		probes: []catalogProbe{
			{"zoom", `GET https://api.zoom.us/v2/users/me`, `Authorization: Bearer $ZOOM_ACCESS_TOKEN`},
			{"zoom", `POST https://zoom.us/oauth/token`, `refused`},
		},
	},
	{
		name:    "Google Maps and YouTube",
		auth:    `X-Goog-Api-Key: $GOOGLE_API_KEY`,
		headers: `X-Goog-FieldMask: places.displayName,places.formattedAddress,places.location,places.rating,places.websiteUri`,
		calls: []catalogCall{
			{"google_places_search", `{"textQuery":"coffee in Oslo","pageSize":5,"languageCode":"en"}`, `POST https://places.googleapis.com/v1/places:searchText`, `{"textQuery":"coffee in Oslo","pageSize":5,"languageCode":"en"}`},
		},
		probes: []catalogProbe{
			{"google_maps", `POST https://places.googleapis.com/v1/places:searchText`, `X-Goog-Api-Key: $GOOGLE_API_KEY`},
			{"google_maps", `POST https://routes.googleapis.com/directions/v2:computeRoutes`, `X-Goog-Api-Key: $GOOGLE_API_KEY`},
			{"google_maps", `GET https://maps.googleapis.com/maps/api/geocode/json?address=Oslo`, `query key=$GOOGLE_API_KEY`},
			{"google_maps", `GET https://youtube.googleapis.com/youtube/v3/videos?id=1`, `X-Goog-Api-Key: $GOOGLE_API_KEY`},
			{"google_maps", `DELETE https://youtube.googleapis.com/youtube/v3/videos?id=1`, `refused`},
			{"google_maps", `GET https://compute.googleapis.com/`, `refused`},
		},
	},
	{
		name: "Google Maps and YouTube",
		auth: `X-Goog-Api-Key: $GOOGLE_API_KEY`,
		calls: []catalogCall{
			{"youtube_search", `{"q":"forward proxy","type":"video","max_results":5}`, `GET https://youtube.googleapis.com/youtube/v3/search?part=snippet&q=forward%20proxy&type=video&maxResults=5`, ``},
		},
	},
	{
		name: "LangSmith",
		auth: `X-Api-Key: $LANGSMITH_API_KEY`,
		calls: []catalogCall{
			{"langsmith_list_projects", `{"name":"web","limit":20}`, `GET https://api.smith.langchain.com/api/v1/sessions?name_contains=web&limit=20`, ``},
		},
		probes: []catalogProbe{
			{"langsmith", `POST https://api.smith.langchain.com/runs/multipart`, `X-Api-Key: $LANGSMITH_API_KEY`},
			{"langsmith", `POST https://api.smith.langchain.com/api/v1/api-key`, ``},
			{"langsmith", `GET https://smith.langchain.com/`, `refused`},
		},
	},
	{
		name: "Weights & Biases",
		auth: `Authorization: Basic base64(api:$WANDB_API_KEY)`,
		calls: []catalogCall{
			{"wandb_list_runs", `{"entity":"acme","project":"train","first":10}`, `POST https://api.wandb.ai/graphql`, `{"query":"query($entity: String!, $project: String!, $first: Int) { project(entityName: $entity, name: $project) { runs(first: $first, order: \"-created_at\") { edges { node { name displayName state createdAt summaryMetrics } } } } }","variables":{"entity":"acme","project":"train","first":10}}`},
		},
		probes: []catalogProbe{
			{"wandb", `POST https://api.wandb.ai/graphql`, `Authorization: Basic base64(api:$WANDB_API_KEY)`},
			{"wandb", `PUT https://storage.googleapis.com/wandb/x?X-Goog-Signature=s`, ``},
			{"wandb", `GET https://wandb.ai/`, `refused`},
		},
	},
	{
		name: "Voyage AI",
		auth: `Authorization: Bearer $VOYAGE_API_KEY`,
		calls: []catalogCall{
			{"voyage_embed", `{"model":"voyage-3.5","input":["a"],"input_type":"document"}`, `POST https://api.voyageai.com/v1/embeddings`, `{"model":"voyage-3.5","input":["a"],"input_type":"document"}`},
		},
		probes: []catalogProbe{
			{"voyage", `POST https://api.voyageai.com/v1/rerank`, `Authorization: Bearer $VOYAGE_API_KEY`},
			{"voyage", `GET https://dash.voyageai.com/`, `refused`},
		},
	},
	{
		name: "AssemblyAI",
		auth: `Authorization: $ASSEMBLYAI_API_KEY`,
		calls: []catalogCall{
			{"assemblyai_transcribe", `{"audio_url":"https://example.com/a.mp3","language_code":"en","speaker_labels":true}`, `POST https://api.assemblyai.com/v2/transcript`, `{"audio_url":"https://example.com/a.mp3","language_code":"en","speaker_labels":true}`},
			{"assemblyai_get_transcript", `{"id":"t1"}`, `GET https://api.assemblyai.com/v2/transcript/t1`, ``},
		},
		probes: []catalogProbe{
			{"assemblyai", `POST https://api.assemblyai.com/v2/upload`, `Authorization: $ASSEMBLYAI_API_KEY`},
			{"assemblyai", `GET https://www.assemblyai.com/`, `refused`},
		},
	},
	{
		name: "fal",
		auth: `Authorization: Key $FAL_KEY`,
		calls: []catalogCall{
			{"fal_run", `{"model":"flux/schnell","input":{"prompt":"a gate"}}`, `POST https://fal.run/fal-ai/flux/schnell`, `{"prompt":"a gate"}`},
		},
		probes: []catalogProbe{
			{"fal", `POST https://queue.fal.run/fal-ai/flux/dev`, `Authorization: Key $FAL_KEY`},
			{"fal", `GET https://v3.fal.media/files/a.png`, ``},
			{"fal", `GET https://fal.ai/`, `refused`},
		},
	},
	{
		name: "Apify",
		auth: `Authorization: Bearer $APIFY_TOKEN`,
		calls: []catalogCall{
			{"apify_run_actor", `{"actor":"apify~website-content-crawler","input":{"startUrls":[{"url":"https://example.com/"}]},"limit":10}`, `POST https://api.apify.com/v2/acts/apify~website-content-crawler/run-sync-get-dataset-items?limit=10`, `{"startUrls":[{"url":"https://example.com/"}]}`},
		},
		probes: []catalogProbe{
			{"apify", `GET https://api.apify.com/v2/acts`, `Authorization: Bearer $APIFY_TOKEN`},
			{"apify", `GET https://console.apify.com/`, `refused`},
		},
	},
	{
		name: "Browserbase",
		auth: `X-BB-API-Key: $BROWSERBASE_API_KEY`,
		calls: []catalogCall{
			{"browserbase_list_sessions", `{"status":"RUNNING"}`, `GET https://api.browserbase.com/v1/sessions?status=RUNNING`, ``},
		},
		probes: []catalogProbe{
			{"browserbase", `POST https://api.browserbase.com/v1/sessions`, `X-BB-API-Key: $BROWSERBASE_API_KEY`},
			{"browserbase", `GET https://www.browserbase.com/`, `refused`},
		},
	},
	{
		name: "X",
		auth: `Authorization: Bearer $X_ACCESS_TOKEN`,
		calls: []catalogCall{
			{"x_search", `{"query":"proxy -is:retweet","max_results":10}`, `GET https://api.x.com/2/tweets/search/recent?query=proxy%20-is%3Aretweet&max_results=10&tweet.fields=created_at,author_id,public_metrics`, ``},
			{"x_post", `{"text":"Hello","reply":{"in_reply_to_tweet_id":"1"}}`, `POST https://api.x.com/2/tweets`, `{"text":"Hello","reply":{"in_reply_to_tweet_id":"1"}}`},
		},
		probes: []catalogProbe{
			{"x", `GET https://api.x.com/2/users/me`, `Authorization: Bearer $X_ACCESS_TOKEN`},
			{"x", `POST https://api.x.com/2/oauth2/token`, ``},
			{"x", `GET https://x.com/`, `refused`},
		},
	},
}
